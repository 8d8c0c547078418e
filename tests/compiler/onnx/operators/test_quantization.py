"""Where real numbers become codes: types, zero points, clamps, rescales, weights, biases (contract, "Reading ONNX")."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from compiler import ModelError, load_onnx
from emulator import Arithmetic, Convolution, MaxPool, Rescale, run_graph
from tests.compiler.models import Model, check_against_runtime, runtime

F32 = np.float32


def linear(codes, scale, bias=None, *, x_scale: float = 0.1, kind: str = "int8", **options) -> Model:
    """A model of one Gemm, (batch, 4) → (batch, 3); options of `Model.weight`."""
    model = Model()
    x = model.qdq(model.input((4,)), x_scale)
    weight = model.weight(codes, scale, kind=kind, **options)
    y = model.node("Gemm", [x, weight, bias(model)] if bias else [x, weight], "fc", transB=1)
    model.output(model.qdq(y, 0.4937, 1))
    return model


CODES = np.arange(12).reshape(3, 4) - 6


def vectors(count: int = 30) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(0).normal(0, 5, (count, 4)).astype(F32)}


def test_unsigned_activations_become_signed(tmp_path):
    model = Model()
    x = model.qdq(model.input((4,)), 0.1, 120, "uint8")
    y = model.node("Relu", [model.node("Gemm", [x, model.weight(CODES, 0.05)], "fc", transB=1)])
    model.output(model.qdq(y, 0.0213, 0, "uint8"))
    graph, differing = check_against_runtime(model, tmp_path, vectors())
    assert differing == 0
    assert (graph.inputs[0].zero_point, graph.nodes[0].zero_point, graph.nodes[0].y_min) == (-8, -128, -128)


@pytest.mark.parametrize(("kind", "shift"), [("int8", 0), ("uint8", 128), ("int4", 0), ("uint4", 8)])
def test_weight_types(kind, shift, tmp_path):
    low, high = (-8, 7) if kind.endswith("4") else (-128, 127)
    codes = np.random.default_rng(1).integers(low, high, (3, 4), endpoint=True)
    model = linear(codes + shift, np.array([0.1, 0.2, 0.3]), kind=kind, zero=shift)
    graph = load_onnx(model.save(tmp_path))
    np.testing.assert_array_equal(graph.nodes[0].weight, codes.T)
    _, differing = check_against_runtime(model, tmp_path, vectors())
    assert differing == 0


def test_weight_codes_in_raw_bytes(tmp_path):
    """int4 values packed two to a byte, in raw_data as in int32_data."""
    codes = np.random.default_rng(2).integers(-8, 8, (3, 4))
    model = linear(codes, 0.1, kind="int4")
    tensor = next(t for t in model.initializers if list(t.dims) == [3, 4])
    flat = codes.reshape(-1) & 15
    del tensor.int32_data[:]
    tensor.raw_data = bytes((flat[0::2] | flat[1::2] << 4).astype(np.uint8))
    np.testing.assert_array_equal(load_onnx(model.save(tmp_path)).nodes[0].weight, codes.T)


def test_float_weights_behind_quantize_linear_are_folded(tmp_path):
    real = np.random.default_rng(3).normal(0, 1, (3, 4)).astype(F32)
    real[0, :2] = [0.25, 0.75]  # ties at scale 0.5
    scale = np.array([0.5, 0.01, 0.02], F32)
    model = Model()
    x = model.qdq(model.input((4,)), 0.1)
    parameters = [model.constant(scale), model.constant([0, 0, 0], "int8")]
    codes = model.node("QuantizeLinear", [model.constant(real), *parameters], axis=0)
    weight = model.node("DequantizeLinear", [codes, *parameters], axis=0)
    model.output(model.qdq(model.node("Gemm", [x, weight], "fc", transB=1), 0.5))
    graph, _ = check_against_runtime(model, tmp_path, vectors())
    expected = [[max(-128, min(127, round(float(w / s)))) for w in row] for row, s in zip(real, scale, strict=True)]
    np.testing.assert_array_equal(graph.nodes[0].weight.T, expected)
    assert graph.nodes[0].weight[:2, 0].tolist() == [0, 2]


def test_constant_nodes_stand_for_initializers(tmp_path):
    model = linear(CODES, 0.2)
    expected = load_onnx(model.save(tmp_path))
    nodes = [model.node("Constant", [], value=tensor) and model.nodes.pop() for tensor in model.initializers]
    for node, tensor in zip(nodes, model.initializers, strict=True):
        node.output[0] = tensor.name
        if numpy_helper.to_array(tensor).dtype == F32 and not tensor.dims:
            node.attribute[0].CopyFrom(type(node.attribute[0])(name="value_float", type=1, f=tensor.float_data[0]
                                       if tensor.float_data else numpy_helper.to_array(tensor).item()))  # fmt: skip
    model.initializers, model.nodes = [], [*nodes, *model.nodes]
    found = load_onnx(model.save(tmp_path))
    np.testing.assert_array_equal(found.nodes[0].weight, expected.nodes[0].weight)
    np.testing.assert_array_equal(found.nodes[0].multiplier, expected.nodes[0].multiplier)


@pytest.mark.parametrize("ulp", [-1, 0, 1])
def test_integer_bias_within_one_ulp_is_taken_as_it_is(ulp, tmp_path):
    scale = np.array([0.1, 0.2, 0.3], F32)
    product = (F32(0.1) * scale).view(np.int32) + ulp
    model = linear(CODES, scale, lambda m: m.bias([7, -8, 1 << 30], product.view(F32)))
    np.testing.assert_array_equal(load_onnx(model.save(tmp_path)).nodes[0].bias, [7, -8, 1 << 30])


def test_bias_that_does_not_fit_names_layer_and_channel(tmp_path):
    arithmetic = Arithmetic(accumulator_bits=12)
    scale = np.array([0.1, 0.2, 0.3], F32)
    path = linear(CODES, scale, lambda m: m.bias([7, -8, 2048], F32(0.1) * scale)).save(tmp_path)
    with pytest.raises(
        ModelError,
        match=r"Gemm 'fc': bias of channel 2 must fit 12 bits \(-2048 to 2047\), not 2048; .*accumulator_bits = 13 ",
    ):
        load_onnx(path, arithmetic)
    path = linear(CODES, scale, lambda m: m.constant([0.0, -2048.6 * 0.1 * 0.2, 0.0])).save(tmp_path)
    with pytest.raises(
        ModelError,
        match=r"Gemm 'fc': bias of channel 1 must fit 12 bits \(-2048 to 2047\), not -2049; .*accumulator_bits = 13 ",
    ):
        load_onnx(path, arithmetic)


def test_clamps_become_codes(tmp_path):
    """Relu6, a Clip with one bound, crossing bounds (the upper one wins) and a chain of them."""
    for bounds, chain, expected in (
        ((0.0, 6.0), False, (-20, 100)),
        ((-0.13, None), False, (-23, 127)),
        ((None, 0.5), False, (-128, -10)),
        ((2.0, 1.0), False, (0, 0)),
        ((-1.0, 1.0), True, (-20, 0)),
    ):
        model = Model()
        x = model.qdq(model.input((4,)), 0.1)
        y = model.node("Gemm", [x, model.weight(CODES, 0.05)], "fc", transB=1)
        names = ["" if bound is None else model.constant(bound) for bound in bounds]
        y = model.node("Clip", [y, *names])
        y = model.node("Relu", [y]) if chain else y
        model.output(model.qdq(y, 0.05, -20))
        graph, _ = check_against_runtime(model, tmp_path, vectors())
        (layer,) = graph.nodes
        assert (layer.name, layer.y_min, layer.y_max) == ("fc", *expected)


def test_narrow_activations_by_clip(tmp_path):
    model = Model()
    model.arithmetic(**Arithmetic(activation_bits=4, weight_bits=4).as_dict())
    bounds = [model.constant(-8 * 0.5), model.constant(7 * 0.5)]
    x = model.qdq(model.node("Clip", [model.input((4,)), *bounds]), 0.5)
    y = model.node("Clip", [model.node("Gemm", [x, model.weight(CODES, 0.5)], "fc", transB=1), *bounds])
    model.output(model.qdq(y, 0.5))
    graph, differing = check_against_runtime(model, tmp_path, vectors())
    assert differing == 0 and graph.arithmetic == Arithmetic(activation_bits=4, weight_bits=4)
    assert [(t.y_min, t.y_max) for t in (*graph.inputs, *graph.nodes)] == [(-8, 7), (-8, 7)]


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, 6.0, (0, 7)), (-1.0, 9.0, (-2, 7)), (-6.0, 1.0, (-8, 2))])
def test_bounds_beyond_narrow_codes_are_none(low, high, expected, tmp_path):
    """A clamp of codes that stands alone: its result has no codes that its operand has not."""
    model = Model()
    model.arithmetic(**Arithmetic(activation_bits=4).as_dict())
    x = model.qdq(model.node("Clip", [model.input((4,)), model.constant(-8 * 0.5), model.constant(7 * 0.5)]), 0.5)
    bounds = [model.constant(low), model.constant(high)]
    model.output(model.qdq(model.node("Clip", [x, *bounds], "clip"), 0.5))
    graph, differing = check_against_runtime(model, tmp_path, vectors())
    (layer,) = graph.nodes
    assert differing == 0 and (layer.name, layer.y_min, layer.y_max) == ("clip", *expected)


def test_codes_outside_the_arithmetic_are_refused(tmp_path):
    path = linear(CODES, 0.2).save(tmp_path)
    with pytest.raises(ModelError, match=r"input 'input': codes must be from -8 to 7 \(activation_bits = 4\), not"):
        load_onnx(path, Arithmetic(activation_bits=4))
    with pytest.raises(ModelError, match=r"Gemm 'fc': weight codes must be from -4 to 3 \(weight_bits = 3\), not -6"):
        load_onnx(path, Arithmetic(weight_bits=3))


def test_pair_that_changes_the_scale_is_a_rescale(tmp_path):
    model = Model()
    x = model.qdq(model.input((2, 3, 3)), 0.1, 3)
    model.quantize(x, 0.07, -9, name="requantize")
    model.output(model.dequantize(model.nodes[-1].output[0], 0.07, -9))
    x = {"input": np.linspace(-9, 9, 36, dtype=F32).reshape(2, 2, 3, 3)}
    graph, differing = check_against_runtime(model, tmp_path, x)
    (layer,) = graph.nodes
    assert isinstance(layer, Rescale) and layer.name == "requantize" and differing == 0
    assert (layer.scale, layer.zero_point, layer.shape) == (float(F32(0.07)), -9, (3, 3, 2))


def test_pair_that_changes_nothing_vanishes(tmp_path):
    model = Model()
    x = model.qdq(model.qdq(model.node("Identity", [model.input((4,))]), 0.1, 3), 0.1, 3)
    x = model.qdq(model.node("Dropout", [x]), 0.1, 3)
    model.output(model.qdq(model.node("Relu", [x], "act"), 0.1, 3))
    graph, differing = check_against_runtime(model, tmp_path, vectors())
    assert [(type(node), node.name, node.y_min) for node in graph.nodes] == [(Rescale, "act", 3)] and differing == 0


def test_max_pool_before_the_quantizer_rounds_once(tmp_path):
    """Conv → Relu → MaxPool → QuantizeLinear: rounding commutes with the maximum, so the convolution rounds."""
    rng = np.random.default_rng(5)
    model = Model()
    x = model.qdq(model.input((2, 8, 8)), 0.1)
    y = model.node("Relu", [model.node("Conv", [x, model.weight(rng.integers(-99, 99, (3, 2, 3, 3)), 0.01)], "conv")])
    model.output(model.qdq(model.node("MaxPool", [y], "pool", kernel_shape=[2, 2], strides=[2, 2]), 0.1, -128))
    x = {"input": rng.normal(0, 4, (6, 2, 8, 8)).astype(F32)}
    graph, _ = check_against_runtime(model, tmp_path, x)
    assert [(type(node), node.name) for node in graph.nodes] == [(Convolution, "conv"), (MaxPool, "pool")]
    assert all((node.scale, node.zero_point) == (float(F32(0.1)), -128) for node in graph.nodes)


def test_max_pool_and_flatten_of_codes(tmp_path):
    """Between QuantizeLinear and DequantizeLinear, as static quantizers place them."""
    rng = np.random.default_rng(6)
    model = Model()
    codes = model.quantize(model.input((2, 4, 4)), 0.1, 128, "uint8")
    codes = model.node("Flatten", [model.node("MaxPool", [codes], "pool", kernel_shape=[2, 2], strides=[2, 2])], "flat")
    x = model.dequantize(codes, 0.1, 128, "uint8")
    model.output(model.qdq(model.node("MatMul", [x, model.weight(rng.integers(-99, 99, (8, 5)), 0.01)], "fc"), 0.1))
    graph, differing = check_against_runtime(model, tmp_path, {"input": rng.normal(0, 9, (9, 2, 4, 4)).astype(F32)})
    assert [node.name for node in graph.nodes] == ["pool", "flat", "fc"] and differing == 0


def test_one_result_rounded_twice_is_two_layers(tmp_path):
    model = Model()
    x = model.qdq(model.input((4,)), 0.1)
    y = model.node("Gemm", [x, model.weight(CODES, 0.05)], "fc", transB=1)
    coarse, fine, again = model.qdq(y, 0.4937), model.qdq(y, 0.0531), model.qdq(y, 0.4937)
    model.outputs = [coarse, fine, again]
    graph = load_onnx(model.save(tmp_path))
    outputs = run_graph(graph, vectors())
    assert [node.name for node in graph.nodes] == ["fc", "fc_1"] and graph.outputs[again] == "fc"
    reals = runtime(model, [coarse, fine], vectors())
    for name, scale, real in zip((coarse, fine), (0.4937, 0.0531), reals, strict=True):
        np.testing.assert_array_equal(outputs[name], np.rint(real / F32(scale)))


def test_unnamed_nodes_take_the_name_of_their_codes_and_names_are_unique(tmp_path):
    model = Model()
    x = model.qdq(model.input((4,)), 0.1)
    for name in ("", "input", "twice", "twice"):
        x = model.qdq(model.node("Gemm", [x, model.weight(np.eye(4, dtype=int) * 9, 0.05)], name), 0.1)
    model.output(x)
    names = [node.name for node in load_onnx(model.save(tmp_path)).nodes]
    first = [node.output[0] for node in model.nodes if node.op_type == "QuantizeLinear"][1]
    assert names == [first, "input_1", "twice", "twice_1"]


def test_codes_as_graph_output(tmp_path):
    model = linear(CODES, 0.2)
    model.outputs = [model.nodes[-2].output[0], model.nodes[-1].output[0]]
    graph = load_onnx(model.save(tmp_path))
    assert graph.outputs == {name: "fc" for name in model.outputs}
