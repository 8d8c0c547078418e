"""Moves of codes beyond a reshape: flips, repetitions, gathers, frames, axes taken apart; against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import ConstantTensor, LookupTable, run_graph
from tests.compiler.expected import images
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, runtime

SX = 0.05


def check(model: Model, folder, x: dict[str, np.ndarray]):
    """Every code, in the emulator and the machine."""
    last = model.nodes[-2]
    (codes,), graph = runtime(model, [last.output[0]], x), load_onnx(model.save(folder))
    (ours,) = run_graph(graph, x).values()
    assert ours.std() > 5
    np.testing.assert_array_equal(ours, codes.astype(np.int64) - (128 if codes.dtype == np.uint8 else 0))
    check_machines(graph, {name: array[:1] for name, array in x.items()})
    return graph


def moved(op: str, *integers: object, shape=(4, 3, 6), kind: str = "int8", **attributes: object) -> Model:
    model, zero = Model(), {"int8": 3, "uint8": 131}[kind]
    x = model.qdq(model.input(shape), SX, zero, kind)
    inputs = [x, *("" if each is None else model.constant(each, "int64") for each in integers)]
    model.output(model.qdq(model.node(op, inputs, "move", **attributes), SX, zero, kind))
    return model


@pytest.mark.parametrize("model", [
    moved("Slice", [-1], [-(1 << 40)], [3], [-1]), moved("Slice", [5, 2], [0, -4], [3, 2], [-2, -1]),
    moved("Slice", [3], [-9], [1], [-1]),
    moved("Tile", [1, 2, 1, 3]), moved("Tile", [1, 2], shape=(6,)), moved("Tile", [1, 1, 2], shape=(4, 5)),
    moved("Expand", [1, 4, 3, 6]), moved("Expand", [4, 5, 6], shape=(4, 1, 6)),
    moved("Expand", [1, 3, 5], shape=(1, 5)), moved("Gather", [[0, 2], [1, 1]], axis=2),
    moved("Gather", [[3], [0]], axis=1), moved("Gather", [[1, 0, 0]], axis=3),
    moved("Gather", [0, 0, 2, 2, 1, 1], axis=2), moved("Gather", [5, 3, 1, 0, 0], axis=-1),
    moved("Pad", [0, 0, 1, 2, 0, 0, 2, 3], mode="reflect"), moved("Pad", [0, 1, 1, 0, 0, 2, 0, 3], mode="edge"),
    moved("Pad", [0, 0, 1, 2, 0, 0, 2, 7], mode="wrap"), moved("Pad", [0, 2, 0, 1, 0, 0, 1, 0]),
    moved("Pad", [0, 0, -1, 2, 0, 0, 0, -3]),
    moved("Pad", [0, 1, -1, 0, 0, -2, 1, -1]), moved("Pad", [0, 2, 0, 3], shape=(6,)),
    moved("Pad", [0, 0, -1, -2, 0, 0, 0, -1]), moved("Pad", [1, 2, 0, 1], None, [1, 3], kind="uint8"),
], ids=lambda model: next(node.op_type for node in model.nodes if node.name == "move"))  # fmt: skip
def test_moves(model, tmp_path):
    shape = [dim.dim_value for dim in model.inputs[0].type.tensor_type.shape.dim][1:]
    check(model, tmp_path, images((3, *shape)))


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_frame_of_another_code(kind, tmp_path):
    """SX · 40 is a code; it stands in constant tensors beside the codes."""
    model = moved("Pad", [0, 0, 1, 2, 0, 0, 0, 1], kind=kind)
    model.nodes[-3].input.append(model.constant(np.float32(SX) * np.float32(40)))
    graph = check(model, tmp_path, images((3, 4, 3, 6)))
    assert sum(isinstance(node, ConstantTensor) for node in graph.nodes) == 3


@pytest.mark.parametrize("fill", [131, 200])
def test_codes_are_framed_with_a_code(fill, tmp_path):
    model = Model()
    parameters = [model.constant(SX), model.constant(131, "uint8")]
    codes = model.node("QuantizeLinear", [model.input((4, 3, 6)), *parameters])
    y = model.node(
        "Pad", [codes, model.constant([0, 0, 1, 2, 0, 0, 0, 1], "int64"), model.constant(fill, "uint8")], "move"
    )
    model.output(model.node("DequantizeLinear", [y, *parameters]))
    x = images((3, 4, 3, 6))
    (theirs,), (ours,) = runtime(model, [y], x), run_graph(load_onnx(model.save(tmp_path)), x).values()
    np.testing.assert_array_equal(ours, theirs.astype(np.int64) - 128)


def chain(*steps: tuple[str, object]):
    def build(model: Model, x: str) -> str:
        for op, values in steps:
            if op == "Reshape":
                x = model.node(op, [x, model.constant(values, "int64")], f"{op}{len(model.nodes)}")
            else:
                x = model.node(op, [x], f"{op}{len(model.nodes)}", perm=values)
        return x

    return build


SHUFFLE = chain(("Reshape", [0, 2, 3, 4, 5]), ("Transpose", [0, 2, 1, 3, 4]), ("Reshape", [0, 6, 4, 5]))
PIXELS = chain(("Reshape", [0, 2, 2, 2, 3, 4]), ("Transpose", [0, 1, 4, 2, 5, 3]), ("Reshape", [0, 2, 6, 8]))
WINDOWS = chain(("Reshape", [0, 3, 2, 2, 3, 2]), ("Transpose", [0, 2, 4, 1, 3, 5]), ("Reshape", [0, 6, 3, 4]))


@pytest.mark.parametrize("pairs", [False, True], ids=["together", "each quantized"])
@pytest.mark.parametrize(("shape", "build"), [((6, 4, 5), SHUFFLE), ((8, 3, 4), PIXELS), ((3, 4, 6), WINDOWS)],
                         ids=["channel shuffle", "pixel shuffle", "window partition"])  # fmt: skip
def test_axes_taken_apart_and_put_together(shape, build, pairs, tmp_path):
    model = Model()
    x = model.qdq(model.input(shape), SX, 3)
    start = len(model.nodes)
    y = build(model, x)
    if pairs:
        steps, model.nodes = model.nodes[start:], model.nodes[:start]
        for step in steps:
            step.input[0] = x
            model.nodes.append(step)
            x = y = model.qdq(step.output[0], SX, 3)
    model.output(model.qdq(y, SX, 3))
    check(model, tmp_path, images((3, *shape)))


@pytest.mark.parametrize(("op", "axes", "keep"), [
    ("ReduceMean", [1], 1), ("ReduceMean", [1], 0), ("ReduceMean", [2], 0), ("ReduceMean", [1, 3], 1),
    ("ReduceMean", [1, 2, 3], 1), ("ReduceMean", [-1, -2], 0), ("ReduceMean", [1, 2], 0),
    ("ReduceSum", [2, 3], 1), ("ReduceSum", [1], 0), ("ReduceSum", [3], 1),
    ("ReduceMax", [1], 1), ("ReduceMax", [2, 3], 0), ("ReduceMax", [3], 1), ("ReduceMax", [1, 2], 0),
])  # fmt: skip
def test_reductions(op, axes, keep, tmp_path):
    model = Model()
    x = model.qdq(model.input((4, 3, 6)), SX, 3)
    y = model.node(op, [x, model.constant(axes, "int64")], "reduce", keepdims=keep)
    model.output(model.qdq(y, SX if op == "ReduceMax" else 0.0713 if op == "ReduceSum" else 0.0217, 3))
    check(model, tmp_path, images((20, 4, 3, 6), spread=1.0))


def test_reductions_of_sequences_and_vectors(tmp_path):
    for shape, axes in (((4, 6), [1]), ((4, 6), [2]), ((12,), [1])):
        model = Model()
        y = model.node("ReduceMean", [model.qdq(model.input(shape), SX, 3), model.constant(axes, "int64")], "reduce")
        model.output(model.qdq(y, 0.0217, 3))
        check(model, tmp_path, images((40, *shape), spread=1.0))


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_the_larger_and_the_smaller_of_two_tensors(op, tmp_path):
    model = Model()
    x, y = (model.qdq(model.input((4, 3, 6), name), SX, 3) for name in ("a", "b"))
    z = model.node("Clip", [model.node(op, [x, y], "extreme"), model.constant(-3.0), model.constant(4.5)])
    model.output(model.qdq(z, SX, 3))
    x = {"a": images((3, 4, 3, 6), 1)["input"], "b": images((3, 4, 3, 6), 2)["input"]}
    assert isinstance(check(model, tmp_path, x).nodes[-1], LookupTable)


def test_extremes_of_other_scales_are_rounded_once_each(tmp_path):
    model = Model()
    x, y = model.qdq(model.input((4, 3, 6), "a"), 0.0531, 3), model.qdq(model.input((4, 3, 6), "b"), 0.0337, -20)
    model.output(model.qdq(model.node("Max", [x, y], "extreme"), 0.0471, 7))
    check(model, tmp_path, {"a": images((3, 4, 3, 6), 1)["input"], "b": images((3, 4, 3, 6), 2)["input"]})


def test_extremes_with_numbers_are_clamps(tmp_path):
    model = Model()
    y = model.node("Max", [model.constant(-1.0), model.qdq(model.input((4, 3)), SX, 3)], "low")
    model.output(model.qdq(model.node("Min", [y, model.constant([2.0])], "high"), SX, 3))
    graph = check(model, tmp_path, images((9, 4, 3)))
    assert len(graph.nodes) == 1 and (graph.nodes[0].y_min, graph.nodes[0].y_max) == (-17, 43)


def test_constants_are_joined(tmp_path):
    """A class token: of codes, and of floats, which the quantizer behind rounds."""
    model, rng = Model(), np.random.default_rng(0)
    x = model.qdq(model.input((4, 6)), SX, 3)
    token = model.weight(rng.integers(-100, 100, (1, 1, 6)), 0.0237)
    real = model.constant(rng.normal(size=(1, 2, 6)))
    model.output(model.qdq(model.node("Concat", [token, x, real], "join", axis=1), SX, 3))
    check(model, tmp_path, images((1, 4, 6)))
