"""Operators, inputs and outputs that the reader does not support."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Arithmetic
from tests.compiler.models import Model
from tests.compiler.refusals import SX, conv, gemm, map_model, pool, refused, weight


def test_ranks_of_inputs_and_convolutions(tmp_path):
    model = Model()
    x = model.qdq(model.input((2, 6, 6, 6)), SX)
    refused(model, tmp_path, "graph has no output")
    model.output(model.qdq(model.node("Conv", [x, weight(model, 4, 2, 3, 3, 3)], "layer"), SX))
    refused(
        model, tmp_path, "graph input 'input' must have the shape (batch, channels, height, width), (batch, channels,"
    )
    model = map_model(lambda m, x: m.node("Conv", [m.node("Flatten", [x]), weight(m, 4, 2, 3)], "layer"))
    refused(
        model, tmp_path, "Conv 'layer': only 1-D and 2-D windows are supported; the input must be (batch, channels, "
    )
    model = map_model(lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3)], "layer"), (2, 6))
    refused(model, tmp_path, "Conv 'layer': weight must have 3 axes, not shape (4, 2, 3, 3)")
    model = map_model(lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3)], "layer", strides=[1, 1]), (2, 6))
    refused(model, tmp_path, "Conv 'layer': strides must be one integer from 1 to 1048576, not (1, 1)")
    model = map_model(lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3)], "layer", pads=[1, -1]), (2, 6))
    refused(model, tmp_path, "Conv 'layer': pads must be two integers from 0 to 1048576, not (1, -1)")


@pytest.mark.parametrize(("build", "text"), [
    (conv(group=2), "weight of shape (4, 2, 3, 3) in 2 groups does not match an input of 2 channels"),
    (conv(group=0), "in 0 groups"),
    (conv(kernel_shape=[3, 2]), "kernel_shape must be the weight's (3, 3), not (3, 2)"),
    (conv(pads=[0, 0, -1, 0]), "pads must be four integers from 0 to 1048576, not (0, 0, -1, 0)"),
    (conv(pads=[0, 0]), "pads must be four integers"),
    (conv(strides=[0, 1]), "strides must be two integers from 1 to 1048576, not (0, 1)"),
    (conv(dilations=[1]), "dilations must be two integers"),
    (conv(dilations=[3, 1]), "kernel must fit the padded map of 6, not cover 7"),
    (conv(auto_pad="SOMEHOW"), "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not 'SOMEHOW'"),
    (conv(auto_pad="SAME_UPPER", pads=[1, 1, 1, 1]), "pads must be left out beside auto_pad SAME_UPPER"),
    (conv(pads=[1 << 19, 1 << 19, 0, 0]), "the padded map must have at most 2^28 elements"),
    (conv(pads=[1 << 20, 1 << 20, 1 << 20, 1 << 20]), "the padded map must have at most 1048576 rows and columns"),
    (conv(nonsense=1), "has the unknown attribute 'nonsense'"),
    (conv(strides=1), "attribute 'strides' must be of type INTS"),
])  # fmt: skip
def test_convolutions(build, text, tmp_path):
    refused(map_model(build), tmp_path, "Conv 'layer': ")
    refused(map_model(build), tmp_path, text)


@pytest.mark.parametrize(("build", "text"), [
    (lambda m, x: m.node("Conv", [x, m.constant(np.zeros((4, 2, 3, 3)))], "layer"), "must be a constant behind a Deq"),
    (lambda m, x: m.node("Conv", [x, x], "layer"), "it is not a constant"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3)], "layer"), "weight must have 4 axes, not shape (4, 2, 3)"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 0, 3)], "layer"), "weight must not be empty"),
    (lambda m, x: m.node("Conv", [x, m.weight(np.ones((4, 2, 3, 3)), [0.1, 0.2], axis=1)], "layer"),
     "weight scales must be per output channel (axis 0), not along axis 1"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3), x], "layer"), "must be a constant"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3), m.constant([1.0, 2.0])], "layer"),
     "bias must have 4 elements, one per output channel, not 2"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3), m.constant([1, 2, 3, 4], "int64")], "layer"),
     "bias must be float32, float16 or int32, or stand behind a DequantizeLinear, not be int64"),
    (lambda m, x: m.node("Conv", [x, weight(m, 4, 2, 3, 3), m.constant([1.0, np.inf, 0, 0])], "layer"), "bias must be"),
    (lambda m, x: m.node("Conv", [m.node("Relu", [x], "act"), weight(m, 4, 2, 3, 3)], "layer"),
     "reads the unrounded result of Relu 'act'; a QuantizeLinear must stand between"),
    (lambda m, x: m.node("Conv", [conv()(m, x), weight(m, 4, 4, 1, 1)], "layer"), "reads the unrounded result of Conv"),
    (lambda m, x: m.node("Conv", [m.quantize(x, SX), weight(m, 4, 2, 3, 3)], "layer"), "a DequantizeLinear must stand"),
])  # fmt: skip
def test_operands(build, text, tmp_path):
    refused(map_model(build), tmp_path, "Conv 'layer': ")
    refused(map_model(build), tmp_path, text)


@pytest.mark.parametrize(("build", "text"), [
    (gemm(transA=1), "Gemm 'fc': transA must be 0, not 1"),
    (lambda m, x: m.node("MatMul", [x, weight(m, 5, 3)], "fc"), "must have the shape (batch, 5) or (batch, length, 5)"),
    (lambda m, x: m.node("MatMul", [weight(m, 3, 4), x], "fc"), "must be a constant behind a DequantizeLinear"),
    (lambda m, x: m.node("MatMul", [x, weight(m, 2, 4, 3)], "fc"), "weight must have 2 axes"),
    (lambda m, x: m.node("Add", [m.node("MatMul", [x, weight(m, 4, 3)], "fc"), m.constant([[1.0], [2.0], [3.0]])], "a"),
     "Add 'a': constants behind sums must have the shape (3,), not (3, 1)"),
    (lambda m, x: m.node("Add", [x, m.constant([1.0, 2.0, 3.0])], "add"), "constants must broadcast to (4,) (without"),
    (lambda m, x: m.node("Add", [x, m.constant([1.0, np.inf, 0, 0])], "add"), "Add 'add': constants must be finite"),
    (lambda m, x: m.node("Div", [x, m.constant([1.0, 0, 0, 0])], "div"), "Div 'div': the divisor must not be 0"),
    (lambda m, x: m.node("Div", [m.constant([1.0, 2, 3, 4]), x], "div"), "Div 'div': only a quotient by constants, o"),
    (lambda m, x: m.node("Add", [x, weight(m, 3)], "add"), "a constant operand must broadcast with (4,) (without the"),
    (lambda m, x: m.node("Add", [gemm()(m, x), x], "add"), "Add 'add': reads the unrounded result of Gemm 'fc'"),
    (lambda m, x: m.node("Sqrt", [x], "act"), "Sqrt 'act': function must not be NaN, as it is for code -128"),
    (lambda m, x: m.node("Div", [x, m.qdq(x, 0.2)], "ratio"), "Div 'ratio': only a quotient by constants, or of one t"),
    (lambda m, x: m.node("Gelu", [x], "act", approximate="poor"), "approximate must be 'none' or 'tanh', not 'poor'"),
    (lambda m, x: m.node("Clip", [x, m.constant([0.0, 1.0])], "clip"), "Clip 'clip': min must be one constant number"),
    (lambda m, x: m.node("Clip", [x, "", m.constant(np.nan)], "clip"), "Clip 'clip': max must be one constant number"),
    (lambda m, x: m.node("Clip", [x, x], "clip"), "Clip 'clip': min must be one constant number"),
    (lambda m, x: m.node("LogSoftmax", [x], "soft"), "LogSoftmax 'soft' (a float operator between integer layers, "),
    (lambda m, x: m.node("Transpose", [x], "turn"), "Transpose 'turn': perm must keep the batch as the first axis, no"),
    (lambda m, x: m.node("Dropout", [x, "", m.constant(True, "bool")], "drop"), "training_mode must be false"),
    (lambda m, x: m.node("Reshape", [x, m.constant([1, -1], "int64")], "re"), "Reshape 're': shape must keep the batc"),
    (lambda m, x: m.node("Reshape", [x, m.constant([-1, 2], "int64")], "re"), "keep the batch and its 4 elements each"),
    (lambda m, x: m.node("Reshape", [x, m.constant([0, 4, *[1] * 7], "int64")], "re"), "shape must have 2 to 8 entri"),
    (lambda m, x: m.node("Reshape", [x, m.constant([0.0, 4.0])], "re"), "shape must be integers, not FLOAT"),
    (lambda m, x: m.node("Unsqueeze", [x, m.constant([*range(1, 8)], "int64")], "un"), "the result must have at most"),
    (lambda m, x: m.node("Unsqueeze", [x, m.constant([0], "int64")], "un"), "axes must differ and be from 1 to 2 or f"),
    (lambda m, x: m.node("Gather", [x, m.constant(2, "int64")], "pick", axis=1), "one number of a vector is not a ten"),
    (lambda m, x: m.node("Flatten", [x], "flat", axis=0), "Flatten 'flat': axis must be 1, not 0"),
    (lambda m, x: m.node("MaxPool", [x], "pool", kernel_shape=[1, 1]), "MaxPool 'pool': only 1-D and 2-D windows are"),
])  # fmt: skip
def test_vectors(build, text, tmp_path):
    refused(map_model(build, (4,)), tmp_path, text)


@pytest.mark.parametrize(("build", "text"), [
    (pool(storage_order=1), "storage_order must be 0, not 1"),
    (pool(kernel_shape=[2]), "kernel_shape must be two integers from 1 to 1048576 (2-D), not (2,)"),
    (pool(kernel_shape=[0, 2]), "kernel_shape must be two integers from 1 to 1048576 (2-D), not (0, 2)"),
    (pool(kernel_shape=[2, 2], pads=[2, 0, 0, 0]), "pads must leave every window a position on the map"),
    (pool(kernel_shape=[1 << 21, 1]), "kernel_shape must be two integers"),
    (pool("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 0, 2]), "pads must leave every window a position on the map"),
    (lambda m, x: m.node("ReduceMean", [x, m.constant([0, 2], "int64")], "pool"), "only axes behind the batch can be"),
    (lambda m, x: m.node("ReduceMean", [x], "pool"), "has no axes, so it would reduce the batch too"),
    (lambda m, x: m.node("ReduceMax", [x, m.constant([4], "int64")], "pool"), "axes must be from -4 to 3, not (4,)"),
    (lambda m, x: m.node("ReduceSum", [x, m.constant([1, 2, 3], "int64")], "pool", keepdims=0), "keepdims must be 1"),
    (lambda m, x: m.node("Squeeze", [x, m.constant([2, 3], "int64")], "pool"), "only axes of size 1 that leave (batch"),
    (lambda m, x: m.node("Squeeze", [x], "pool"), "axes must be constants from -4 to 3, not None"),
    (lambda m, x: m.node("Add", [x, m.qdq(pool()(m, x), SX)], "pool"), "must have one shape, or size 1 along an axis "),
    (lambda m, x: m.node("Add", [x, m.qdq(m.node("Flatten", [x]), SX)], "pool"), "not (2, 6, 6) and (72,) (without th"),
    (lambda m, x: m.node("BatchNormalization", [x, *[m.constant([1.0, 1.0, 1.0])] * 4], "pool"),
     "BatchNormalization 'pool': scale must have 2 elements, one per channel, not 3"),
    (lambda m, x: m.node("BatchNormalization", [x, *[m.constant([1.0, 1.0])] * 3, m.constant([1.0, -1.0])], "pool"),
     "BatchNormalization 'pool': input_var plus epsilon must be positive, not -0.999"),
    (lambda m, x: m.node("BatchNormalization", [x, *[m.constant([1.0, 1.0])] * 3, x], "pool"), "must be a constant"),
    (lambda m, x: m.node("BatchNormalization", [x, *[m.constant([1.0, np.inf])] * 4], "pool"), "must be finite"),
    (lambda m, x: m.node("BatchNormalization", [x, *[m.constant([1.0, 1.0])] * 4], "pool", training_mode=1),
     "training_mode must be 0, not 1"),
])  # fmt: skip
def test_maps(build, text, tmp_path):
    refused(map_model(build), tmp_path, "'pool'")
    refused(map_model(build), tmp_path, text)


def test_all_unsupported_nodes_are_listed(tmp_path):
    def build(m: Model, x: str) -> str:
        first = m.qdq(m.node("Conv", [x, weight(m, 2, 2, 1, 1)], "first"), SX)
        summed = m.qdq(m.node("CumSum", [first, m.constant(1, "int64")], "sum"), SX)
        return m.node("LogSoftmax", [m.node("Conv", [summed, weight(m, 4, 2, 3, 3)], "layer")], "soft")

    text = "CumSum 'sum' (no such operator in the integer graph) is not supported"
    refused(map_model(build), tmp_path, text)  # what reads it is not listed
    both = map_model(
        lambda m, x: m.node("Add", [build(m, x), m.node("LogSoftmax", [m.qdq(conv()(m, x), SX)], "other")], "add")
    )
    refused(both, tmp_path, "2 nodes are not supported: ")
    refused(both, tmp_path, "CumSum 'sum' (no such operator in the integer graph)")
    refused(
        both, tmp_path, "LogSoftmax 'other' (a float operator between integer layers, which the accelerator lacks; outp"
    )
    refused(both, tmp_path, "; it and what follows up to Add 'add' are in float)")


def test_window_whose_sum_can_overflow(tmp_path):
    model = map_model(lambda m, x: m.node("GlobalAveragePool", [x], "pool"), (1, 200, 200), zero=-128)
    narrow = Arithmetic(accumulator_bits=16)
    refused(model, tmp_path, "a window of 200×200 can overflow the sum's 24 bits", arithmetic=narrow)
    load_onnx(model.save(tmp_path))


def test_second_outputs(tmp_path):
    model = map_model(lambda m, x: m.node("MaxPool", [x], "pool", outputs=2, kernel_shape=[2, 2]))
    refused(model, tmp_path, "MaxPool 'pool': the output of indices")
    model = map_model(lambda m, x: m.node("Dropout", [x], "drop", outputs=2))
    refused(model, tmp_path, "Dropout 'drop': the output of the mask")


def test_scale_too_large_for_the_multiplier(tmp_path):
    model = Model()
    x = model.qdq(model.input((4,)), 1e30)
    model.output(model.qdq(model.node("MatMul", [x, weight(model, 4, 3)], "fc"), 1e-6))
    refused(model, tmp_path, "MatMul 'fc': scale[0] must be below 2^24")


def test_inputs_and_outputs(tmp_path):
    model = map_model(conv())
    model.input((3,), "spare")
    refused(model, tmp_path, "graph input 'spare' reaches no QuantizeLinear")
    model = map_model(conv())
    model.outputs = [model.constant(1.0)]
    refused(model, tmp_path, ": is a constant")


def test_input_types_and_shapes(tmp_path):
    for change, text in (
        (
            lambda v: setattr(v.type.tensor_type, "elem_type", 11),
            "must be FLOAT, followed by a QuantizeLinear, or INT8 or UINT8 codes, not DOUBLE",
        ),
        (lambda v: v.type.tensor_type.ClearField("shape"), "not no shape"),
        (lambda v: setattr(v.type.tensor_type.shape.dim[2], "dim_param", "height"), "not 'height' at axis 2"),
        (lambda v: setattr(v.type.tensor_type.shape.dim[3], "dim_value", -6), "not -6 at axis 3"),
        (lambda v: setattr(v.type.tensor_type.shape.dim[3], "dim_value", 1 << 40), "must have at most 2^28 elements"),
        (lambda v: v.type.sequence_type.elem_type.tensor_type.SetInParent(), "must be a tensor, not sequence_type"),
    ):
        model = map_model(conv())
        change(model.inputs[0])
        refused(model, tmp_path, "graph input 'input'")
        refused(model, tmp_path, text)


def test_broken_functions_in_names_and_domains(tmp_path):
    model = map_model(conv())
    model.nodes[-3].domain = "com.example"
    refused(model, tmp_path, "com.example.Conv 'layer' (the operators of 'com.example' are not known) is not supported")
    model = map_model(conv())
    model.opset = 13
    model.nodes.insert(2, model.nodes[0])
    refused(model, tmp_path, "is made twice")
