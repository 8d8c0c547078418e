"""Operators that only move codes, against ONNX Runtime and in the machine: every code must be equal."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Concat, Linear, Pad, Rescale, Reshape, Slice, Transpose, run_graph
from tests.compiler.machines import check_everywhere, check_machines
from tests.compiler.models import Model, runtime
from tests.compiler.random_moves import SX, moved, random_moves

F32 = np.float32
SCALES = (0.05, 3), (0.03, -9), (0.05, 2)


def values(*shape: int, seed: int = 1, samples: int = 3) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(seed).normal(0, 2, (samples, *shape)).astype(F32)}


@pytest.mark.parametrize("seed", range(40))
def test_any_chain_of_moves(seed, tmp_path):
    model, first, last = random_moves(seed)
    feeds = values(*first, seed=seed)
    graph = check_everywhere(model, tmp_path, feeds)
    (result,) = run_graph(graph, feeds).values()
    assert list(result.shape[1:]) == last


@pytest.mark.parametrize(("shape", "wanted", "kinds"), [
    ((3, 4, 5), (3, 20), [Reshape]),  # rows and columns become one axis
    ((3, 20), (3, 4, 5), [Reshape]),
    ((3, 4, 5), (60,), [Reshape]),  # in the stored order, which is noted
    ((6,), (6, 1, 1), [Reshape]),
    ((6,), (1, 6), [Reshape]),
    ((6, 4), (2, 3, 4), [Transpose, Reshape, Transpose]),
    ((6, 1), (2, 3, 1), [Reshape, Transpose]),
    ((1, 6), (2, 3), [Reshape, Transpose]),
    ((2, 3), (1, 6), [Transpose, Reshape]),
    ((6, 5, 1), (1, 6, 5), [Transpose]),  # whose result has the wanted shape already
])  # fmt: skip
def test_which_layers_a_reshape_takes(shape, wanted, kinds, tmp_path):
    model = Model()
    y = model.node("Reshape", [model.qdq(model.input(shape), SX), model.constant([0, *wanted], "int64")], "re")
    model.output(model.qdq(model.node("Tanh", [model.qdq(y, SX)], "act"), 1 / 128))
    graph = check_everywhere(model, tmp_path, values(*shape))
    position = [node.name for node in graph.nodes].index("act")
    assert [type(node) for node in graph.nodes[:position]] == kinds and graph.nodes[position - 1].name == "re"


@pytest.mark.parametrize(("op", "shape", "axes", "result"), [
    ("Squeeze", (6, 1, 1), [2, 3], (6,)), ("Squeeze", (1, 6), [1], (6,)), ("Squeeze", (3, 1, 4), [-2], (4, 3)),
    ("Unsqueeze", (6,), [1], (6, 1)), ("Unsqueeze", (3, 4), [-1], (4, 1, 3)), ("Unsqueeze", (6,), [-1, 1], (6, 1, 1)),
])  # fmt: skip
def test_axes_of_size_one(op, shape, axes, result, tmp_path):
    model = Model()
    y = model.node(op, [model.qdq(model.input(shape), SX), model.constant(axes, "int64")], "layer")
    model.output(model.qdq(y, SX))
    assert check_everywhere(model, tmp_path, values(*shape)).nodes[-1].shape == result


@pytest.mark.parametrize("shape", [(5,), (5, 7), (5, 4, 3)])
def test_slices_along_several_axes(shape, tmp_path):
    model = Model()
    starts, ends, steps = [1, -3, 0], [4, 100, -1], [2, 1, 1]
    lists = [starts[: len(shape)], ends[: len(shape)], list(range(1, len(shape) + 1)), steps[: len(shape)]]
    model.output(model.qdq(moved(model, "Slice", model.qdq(model.input(shape), SX, -4), *lists), SX, -4))
    graph = check_everywhere(model, tmp_path, values(*shape))
    assert {type(node) for node in graph.nodes} == {Slice} and graph.nodes[-1].name.startswith("slice")


@pytest.mark.parametrize(
    ("sizes", "outputs", "opset"), [([1, 4, 2], 3, 13), (None, 7, 13), (None, 3, 18), ([3, 4], 2, 21)]
)
@pytest.mark.parametrize("axis", [1, 2])
def test_split(sizes, outputs, opset, axis, tmp_path):
    shape = (7, 3) if axis == 1 else (3, 7)
    model, feeds = Model(opset), values(*shape)
    x = model.qdq(model.input(shape), SX)
    inputs = [x] if sizes is None else [x, model.constant(sizes, "int64")]
    model.node("Split", inputs, "parts", outputs=outputs, axis=axis, num_outputs=outputs if opset == 18 else None)
    for part in list(model.nodes[-1].output):
        model.output(model.qdq(part, SX))
    graph = load_onnx(model.save(tmp_path))
    names = [node.output[0] for node in model.nodes if node.op_type == "QuantizeLinear"][1:]
    ours = run_graph(graph, feeds)
    for output, theirs in zip(model.outputs, runtime(model, names, feeds), strict=True):
        np.testing.assert_array_equal(ours[output], theirs)
    assert [node.name for node in graph.nodes] == [f"parts/{i}" for i in range(outputs)]
    check_machines(graph, feeds)


@pytest.mark.parametrize(("shape", "axis"), [((5, 4), 1), ((5, 4), 2), ((3, 4, 5), 2), ((3, 4, 5), -1), ((1, 4), 1)])
@pytest.mark.parametrize("scalar", [True, False])
def test_one_index_of_an_axis(shape, axis, scalar, tmp_path):
    model = Model()
    x = model.qdq(model.input(shape), SX)
    y = model.node("Gather", [x, model.constant(-1 if scalar else [0], "int64")], "select", axis=axis)
    model.output(model.qdq(y, SX))
    graph = check_everywhere(model, tmp_path, values(*shape))
    assert graph.nodes == () or graph.nodes[-1].name == "select"


ORDERS = {
    "a shuffle of 2 groups": [0, 3, 1, 4, 2, 5],
    "a shuffle of 3 groups": [0, 2, 4, 1, 3, 5],
    "backwards": [5, 4, 3, 2, 1, 0],
    "every other": [-5, 3, 5],
    "some twice": [2, 2, 0, 1, 2, 3, 3],
}


@pytest.mark.parametrize(("shape", "axis"), [((6, 4, 5), 1), ((4, 6, 5), 2), ((4, 5, 6), -1), ((6, 5), 1), ((6,), 1)])
@pytest.mark.parametrize("name", ORDERS)
def test_orders_along_an_axis(name, shape, axis, tmp_path):
    model = Model()
    x = model.qdq(model.input(shape), SX)
    y = model.node("Gather", [x, model.constant(ORDERS[name], "int64")], "order", axis=axis)
    model.output(model.qdq(y, SX))
    graph = check_everywhere(model, tmp_path, values(*shape))
    assert graph.nodes[-1].name == "order"
    if "shuffle" in name:
        assert [type(node) for node in graph.nodes] == [Reshape, Transpose, Reshape]


def test_an_order_of_a_flattened_map(tmp_path):
    model, places = Model(), np.random.default_rng(0).permutation(24)
    x = model.node("Flatten", [model.qdq(model.input((3, 2, 4)), SX)], "flatten")
    model.output(model.qdq(model.node("Gather", [x, model.constant(places, "int64")], "order", axis=1), SX))
    check_everywhere(model, tmp_path, values(3, 2, 4))


@pytest.mark.parametrize("shape", [(8, 3, 5), (4, 2, 1), (18, 2, 3), (16, 1, 1)])
@pytest.mark.parametrize("mode", ["DCR", "CRD", None])
def test_blocks_of_channels_become_pixels(mode, shape, tmp_path):
    model = Model()
    size = 3 if shape[0] % 9 == 0 else 2
    x = model.qdq(model.input(shape), SX)
    y = model.node("DepthToSpace", [x], "up", blocksize=size, mode=mode)
    model.output(model.qdq(y, SX))
    check_everywhere(model, tmp_path, values(*shape))


@pytest.mark.parametrize(("shape", "size"), [((3, 4, 6), 2), ((1, 6, 3), 3), ((2, 2, 2), 2), ((2, 3, 4), 1)])
def test_blocks_of_pixels_become_channels(shape, size, tmp_path):
    model = Model()
    y = model.node("SpaceToDepth", [model.qdq(model.input(shape), SX)], "down", blocksize=size)
    model.output(model.qdq(y, SX))
    check_everywhere(model, tmp_path, values(*shape))


@pytest.mark.parametrize("opset", [13, 21])
def test_pads_of_maps(opset, tmp_path):
    """Zeros under another clamp than the input's, and a rescale behind them."""
    model = Model(opset)
    y = model.node("Relu", [model.qdq(model.input((3, 4, 5)), SX, 20)], "act")
    inputs = [y, model.constant([1, 0, 2, 3], "int64"), model.constant(0.0), model.constant([2, 3], "int64")]
    if opset == 13:
        inputs = [y, model.constant([0, 0, 1, 0, 0, 0, 2, 3], "int64")]
    model.output(model.qdq(model.node("Pad", inputs, "pad"), 0.05, -100))
    graph = check_everywhere(model, tmp_path, values(3, 4, 5), most=5)
    kinds = [type(node) for node in graph.nodes]
    assert kinds == [Pad, Rescale] and graph.nodes[1].name == "pad"
    (y,) = run_graph(graph, values(3, 4, 5)).values()
    assert (y[:, :, 0] == -100).all() and (y[:, :, :, -3:] == -100).all() and y.min() == -100


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat_rescales_what_has_another_scale(axis, tmp_path):
    """Codes of the result's scale are taken as they are; a tensor that comes twice is rescaled twice."""
    model = Model()
    names = ("a", "b", "c")
    parts = [model.qdq(model.input((2, 3, 4), name), *p) for name, p in zip(names, SCALES, strict=True)]
    model.output(model.qdq(model.node("Concat", [*parts, parts[1]], "join", axis=axis), 0.05, 3))
    rng = np.random.default_rng(0)
    graph = check_everywhere(model, tmp_path, {n: rng.normal(0, 3, (8, 2, 3, 4)).astype(F32) for n in names}, most=6)
    assert [(type(node), node.name) for node in graph.nodes] == [
        (Rescale, "join/1"), (Rescale, "join/2"), (Concat, "join"),
    ]  # fmt: skip
    assert graph.nodes[-1].inputs == ("a", "join/1", "join/2", "join/1")


def test_concat_of_unrounded_layers_rounds_each_once(tmp_path):
    """Conv and Relu behind the Concat: the clamp reaches every part, and no part is rounded before."""
    rng, model = np.random.default_rng(1), Model()
    x = model.qdq(model.input((3, 5, 5)), SX, -2)
    convolutions = [model.node("Conv", [x, model.weight(rng.integers(-127, 128, (2, 3, 1, 1)), 0.01)], n) for n in "pq"]
    joined = model.node("Concat", [*convolutions, model.node("Clip", [x, "", model.constant(1.0)])], "join", axis=1)
    model.output(model.qdq(model.node("Relu", [joined]), 0.02, -128))
    graph = check_everywhere(model, tmp_path, values(3, 5, 5), most=4)
    assert [node.name for node in graph.nodes] == ["p", "q", "join/2", "join"]
    assert {node.y_min for node in graph.nodes} == {-128} and graph.tensor("join/2").y_max == -128 + 50


def test_concat_of_equal_scales_needs_no_quantizer(tmp_path):
    model, rng = Model(), np.random.default_rng(2)
    x = model.qdq(model.input((3, 6)), SX)
    y = model.qdq(model.node("MaxPool", [x], "pool", kernel_shape=[3], pads=[1, 1]), SX)
    joined = model.node("Concat", [x, y], "join", axis=1)
    model.output(
        model.qdq(model.node("Conv", [joined, model.weight(rng.integers(-9, 9, (2, 6, 3)), 0.1)], "conv"), 0.2)
    )
    graph = check_everywhere(model, tmp_path, values(3, 6))
    assert [node.name for node in graph.nodes] == ["pool", "join", "conv"]


def test_codes_are_joined_and_moved_between_quantizers(tmp_path):
    model = Model()
    codes = model.quantize(model.input((3, 4)), SX, 5)
    turned = model.node("Transpose", [model.node("Concat", [codes, codes], "join", axis=1)], "turn", perm=[0, 2, 1])
    model.output(model.qdq(model.dequantize(turned, SX, 5), SX, 5))
    assert [node.name for node in check_everywhere(model, tmp_path, values(3, 4)).nodes] == ["join", "turn"]


def flattened(model: Model) -> str:
    return model.node("Flatten", [model.qdq(model.input((2, 3, 2)), SX)], "flatten")


def test_a_flattened_map_that_leaves_the_graph_is_in_the_files_order(tmp_path):
    model = Model()
    model.output(model.qdq(flattened(model), SX))
    graph = check_everywhere(model, tmp_path, values(2, 3, 2))
    x = np.arange(12, dtype=np.int8).reshape(1, 2, 3, 2)
    (y,) = run_graph(graph, {"input": x}).values()
    assert y.tolist() == [list(range(12))]


@pytest.mark.parametrize("form", ["add", "join", "part", "both"])
def test_a_flattened_map_meets_vectors(form, tmp_path):
    model, rng = Model(), np.random.default_rng(3)
    x = model.qdq(flattened(model), SX)
    if form == "add":
        y = model.node("Add", [x, model.qdq(model.node("Reshape", [x, model.constant([0, 12], "int64")]), SX)], "out")
        y = model.node("Add", [model.qdq(y, 0.06), model.qdq(model.input((12,), "other"), 0.01)], "out2")
    elif form == "join":
        y = model.node("Concat", [x, x], "out", axis=1)
    elif form == "part":
        y = moved(model, "Slice", x, [3], [9], [1])
    else:
        head = model.qdq(model.node("MatMul", [x, model.weight(rng.integers(-99, 99, (12, 12)), 0.01)], "head"), 0.05)
        y = model.node("Sub", [head, x], "out")
    model.output(model.qdq(y, 0.07 if form in ("add", "both") else SX))
    feeds = values(2, 3, 2)
    if form == "add":
        feeds["other"] = rng.normal(0, 1, (3, 12)).astype(F32)
    graph = check_everywhere(model, tmp_path, feeds, most=1)
    assert not any(isinstance(n, Linear) and n.inputs == ("flatten/ordered",) for n in graph.nodes)
