"""ConvTranspose against ONNX Runtime, against plain sums in saturating accumulators, and in the machine."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Arithmetic, run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import check_everywhere
from tests.compiler.models import Model, check_against_runtime
from tests.compiler.refusals import refused

SX = 0.0371


def transposed(shape, weight_shape, kind="int8", zero=0, scale=0.01, bias=True, **attributes) -> Model:
    model, rng = Model(), np.random.default_rng(5)
    low, high = (-127, 128) if kind == "int8" else (0, 256)
    weight = model.weight(rng.integers(low, high, weight_shape), scale, axis=1, kind=kind, zero=zero)
    x = model.qdq(model.input(shape), SX, 3)
    outputs = weight_shape[1] * attributes.get("group", 1)
    inputs = [x, weight]
    if bias:
        steps = F32(SX) * np.tile(np.broadcast_to(F32(scale), (weight_shape[1],)), attributes.get("group", 1))
        inputs.append(model.bias(np.arange(outputs) * 300 - 200, steps))
    y = model.node("ConvTranspose", inputs, "layer", **attributes)
    model.output(model.qdq(y, 0.153, -4))
    return model


@pytest.mark.parametrize(("shape", "weight_shape", "attributes"), [
    ((4, 3, 5), (4, 2, 2, 2), {"strides": [2, 2]}),
    ((4, 3, 5), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ((4, 3, 5), (4, 2, 4, 3), {"strides": [3, 1], "pads": [2, 0, 1, 1], "dilations": [1, 2]}),
    ((4, 3, 4), (4, 2, 3, 3), {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((4, 3, 4), (4, 1, 4, 4), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((4, 3, 4), (4, 2, 1, 1), {"strides": [2, 3], "output_padding": [1, 2]}),
    ((4, 3, 4), (4, 2, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((4, 5, 4), (4, 2, 3, 3), {"strides": [2, 2], "pads": [3, 2, 3, 4]}),
    ((4, 3, 4), (4, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((4, 3, 4), (4, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ((4, 3, 4), (4, 2, 3, 2), {"strides": [2, 2], "output_shape": [6, 7]}),
    ((4, 6), (4, 3, 4), {"strides": [2], "pads": [1, 1]}),
    ((4, 6), (4, 1, 3), {"strides": [3], "group": 4, "output_padding": [1]}),
], ids=str)  # fmt: skip
def test_geometries(shape, weight_shape, attributes, tmp_path):
    check_everywhere(transposed(shape, weight_shape, **attributes), tmp_path, images((12, *shape)), most=2)


def test_scales_per_channel(tmp_path):
    model = transposed((4, 3, 4), (4, 3, 3, 3), scale=[0.01, 0.02, 0.013], strides=[2, 2], pads=[1, 1, 1, 1])
    check_everywhere(model, tmp_path, images((12, 4, 3, 4)), most=2)


def test_an_add_and_a_relu_behind(tmp_path):
    model = transposed((4, 3, 4), (4, 3, 2, 2), bias=False, strides=[2, 2])
    quantizers = [model.nodes.pop() for _ in range(2)][::-1]
    y = model.node("Add", [model.nodes[-1].output[0], model.constant(np.array([1.0, -2.0, 3.0]).reshape(3, 1, 1))], "b")
    quantizers[0].input[0] = model.node("Relu", [y], "act")
    model.nodes += quantizers
    graph = check_everywhere(model, tmp_path, images((12, 4, 3, 4)), most=2)
    assert all(node.y_min == -4 for node in graph.nodes)


def test_the_order_of_a_saturating_sum_is_that_of_the_inputs_positions(tmp_path):
    """Rows, then columns, then channels of the input, each step saturating; in plain integers."""
    model = transposed((3, 3, 3), (3, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    arithmetic = Arithmetic(accumulator_bits=15)
    graph, x = load_onnx(model.save(tmp_path), arithmetic), images((4, 3, 3, 3))
    (ours,) = run_graph(graph, x).values()
    codes = np.rint(x["input"] / F32(SX)).clip(-131, 124).astype(int)
    weight = np.random.default_rng(5).integers(-127, 128, (3, 2, 3, 3))
    multiplier, shift = graph.nodes[0].multiplier[0], graph.nodes[0].shift[0]
    low, high, saturated = -(1 << 14), (1 << 14) - 1, 0
    for sample, channel, row, column in np.ndindex(4, 2, 6, 6):
        acc = [-200, 100][channel]
        for i, j, c in np.ndindex(3, 3, 3):
            tap = row + 1 - 2 * i, column + 1 - 2 * j
            if min(tap) >= 0 and max(tap) < 3:
                acc += codes[sample, c, i, j] * weight[c, channel, tap[0], tap[1]]
                saturated += not low <= acc <= high
                acc = min(max(acc, low), high)
        product = int(acc) * int(multiplier)
        rounded = (2 * product + (1 << shift)) >> (shift + 1)
        assert ours[sample, channel, row, column] == min(max(rounded - 4, -128), 127)
    assert saturated > 20


@pytest.mark.parametrize("zero", [131, 0])
def test_weight_zero_points_stand_where_nothing_is_read(zero, tmp_path):
    model = transposed((4, 3, 4), (4, 3, 3, 3), "uint8", zero, strides=[2, 2], pads=[1, 1, 1, 1])
    graph, differing = check_against_runtime(model, tmp_path, images((12, 4, 3, 4)))
    assert differing <= 2 and set(graph.nodes[0].weight_zero_point) == {zero - 128}


@pytest.mark.parametrize(("shape", "weight_shape", "attributes", "text"), [
    ((4, 3, 4), (5, 2, 3, 3), {}, "does not match an input of 4 channels"),
    ((4, 3, 4), (4, 2, 3, 3), {"output_padding": [1, 1]}, "output_padding must be two integers from 0 to below stride"),
    ((4, 3, 4), (4, 2, 3, 3), {"pads": [3, 3, 3, 3]}, "the result must have sizes from 1 to 1048576, not -1"),
    ((4, 3, 4), (4, 2, 3, 3), {"output_shape": [1 << 40, 2]}, "the result must have sizes from 1 to 1048576, not "),
    ((4, 3, 4), (4, 2, 3, 3), {"auto_pad": "SAME"}, "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not 'S"),
    ((4, 3, 4), (4, 2, 3, 3), {"kernel_shape": [2, 2]}, "kernel_shape must be the weight's (3, 3), not (2, 2)"),
])  # fmt: skip
def test_refusals(shape, weight_shape, attributes, text, tmp_path):
    refused(transposed(shape, weight_shape, bias=False, **attributes), tmp_path, f"ConvTranspose 'layer': {text}"[:21])
    refused(transposed(shape, weight_shape, bias=False, **attributes), tmp_path, text)
