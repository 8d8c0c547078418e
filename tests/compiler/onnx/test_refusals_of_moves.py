"""Moves of codes that are refused: one sentence with the node and the reason."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.models import Model
from tests.compiler.refusals import SX, map_model, refused


def node(op: str, *inputs: object, **attributes: object):
    """A node called 'move' behind a map (2, 6, 6); further inputs are integer constants, None is left out."""

    def build(model: Model, x: str) -> str:
        names = ["" if values is None else model.constant(values, "int64") for values in inputs]
        return model.node(op, [x, *names], "move", **attributes)

    return build


def pad(value: object, mode: str = "constant", kind: str = "float32"):
    def build(model: Model, x: str) -> str:
        pads = model.constant([0, 0, 1, 1, 0, 0, 1, 1], "int64")
        return model.node("Pad", [x, pads, model.constant(value, kind)], "move", mode=mode)

    return build


@pytest.mark.parametrize(("build", "text"), [
    (node("Transpose", perm=[1, 0, 2, 3]), "perm must keep the batch as the first axis, not be (1, 0, 2, 3)"),
    (node("Transpose", perm=[0, 2, 1]), "perm must be a permutation of 4 axes, not (0, 2, 1)"),
    (node("Slice", [0], [1], [0]), "axis must not be the batch's, as 0 is"),
    (node("Slice", [0], [1]), "axis must not be the batch's, as 0 is"),
    (node("Slice", [0], [1], [4]), "axis must be from -4 to 3, not 4"),
    (node("Slice", [0], [1], [2], [0]), "steps must not be 0, as in (0,)"),
    (node("Slice", [0, 0], [1], [2]), "starts, ends, axes and steps must have one length of at least 1"),
    (node("Slice", [0, 0], [1, 1], [2, -2]), "axes must differ, not be (2, -2)"),
    (node("Slice", [3], [3], [2]), "elements 3 to 3 of axis 2 must not be empty; it has 6 elements"),
    (node("Gather", [], axis=1), "indices must be constants, at least one"),
    (node("Gather", [1, -7], axis=2), "indices must be from -6 to 5, not -7"),
    (node("DepthToSpace", blocksize=0), "blocksize must be at least 1, not 0"),
    (node("DepthToSpace", blocksize=2), "blocksize² must divide the 2 channels, not be 4"),
    (node("DepthToSpace", blocksize=1, mode="RCD"), "mode must be 'DCR' or 'CRD', not 'RCD'"),
    (node("SpaceToDepth", blocksize=4), "blocksize must divide the map of"),
    (node("Gather", 6, axis=2), "indices must be from -6 to 5, not 6"),
    (node("Gather", 0), "axis must not be the batch's, as 0 is"),
    (node("Pad", [1, 0, 0, 0, 0, 0, 0, 0]), "only the axes behind the batch can be padded"),
    (node("Pad", [1, 1], None, [0]), "only the axes behind the batch can be padded"),
    (node("Pad", [0, 0, 0, 0, 0, 0, 0, 1 << 30]), "pads must be 8 integers from -1048576 to 1048576, n"),
    (node("Pad", [0, 0, -4, 0, 0, 0, -2, 0]), "pads must leave some of each axis, not make the sizes (2, 0, 6)"),
    (node("Pad", [0, 0, 6, 0, 0, 0, 0, 0], mode="reflect"), "pads must be below the 6 elements of axis 2 to refl"),
    (node("Pad", [0, 0, 0]), "pads must be 8 integers"),
    (node("Pad", [1, 1], None, [4]), "axes must be from -4 to 3, not 4"),
    (node("Pad", [1 << 20] * 4, None, [2, 3]), "the padded tensor must have at most 2^28 elements"),
    (pad(0.93), "the value must be a code times the scale 0.1"),
    (pad(np.nan), "the value must be one constant number"),
    (pad(0.0, mode="mirror"), "mode must be constant, edge, reflect or wrap, not 'mirror'"),
    (node("Concat", axis=0), "axis must not be the batch's, as 0 is"),
    (node("Concat", axis=4), "axis must be from -4 to 3, not 4"),
])  # fmt: skip
def test_moves(build, text, tmp_path):
    refused(map_model(build), tmp_path, "'move'")
    refused(map_model(build), tmp_path, text)


@pytest.mark.parametrize(("sizes", "attributes", "text"), [
    ([3, 2], {"axis": 2}, "split must have the sum 6, the elements of axis 2, not 5"),
    ([6, 0], {"axis": 2}, "split must have 2 sizes of at least 1, one per output, not (6, 0)"),
    ([2, 2, 2], {"axis": 2}, "split must have 2 sizes of at least 1, one per output, not (2, 2, 2)"),
    ([1, 1], {"axis": 0}, "axis must not be the batch's, as 0 is"),
    (None, {"axis": 1, "num_outputs": 3}, "num_outputs must be the 2 that the node has, not 3"),
])  # fmt: skip
def test_splits(sizes, attributes, text, tmp_path):
    inputs = () if sizes is None else (sizes,)
    model = map_model(node("Split", *inputs, outputs=2, **attributes))
    refused(model, tmp_path, "Split 'move")
    refused(model, tmp_path, text)


def test_splits_that_are_not_equal(tmp_path):
    model = map_model(node("Split", axis=2, outputs=4))
    model.opset = 13
    refused(model, tmp_path, "6 elements of axis 2 cannot be split into 4 equal parts")


@pytest.mark.parametrize("behind", [True, False])
def test_a_clamp_that_would_move_the_zeros_of_a_pad(behind, tmp_path):
    def build(model: Model, x: str) -> str:
        def clip(y: str) -> str:
            return model.node("Clip", [y, model.constant(0.5), model.constant(2.0)], "clip")

        def frame(y: str) -> str:
            return model.node("Pad", [y, model.constant([0, 0, 1, 1, 0, 0, 1, 1], "int64")], "pad")

        return clip(frame(x)) if behind else frame(clip(x))

    text = "a clamp to 0.5 … 2.0 and the 0 of Pad 'pad' need a QuantizeLinear between them"
    refused(map_model(build), tmp_path, text)


def test_what_is_joined(tmp_path):
    def build(model: Model, x: str) -> str:
        return model.node("Concat", [x, model.qdq(model.node("Flatten", [x]), SX)], "join", axis=1)

    refused(
        map_model(build), tmp_path, "Concat 'join': inputs must have one shape but for axis 1, not (2, 6, 6) and (72,)"
    )
    constant = map_model(lambda m, x: m.node("Concat", [x, m.constant(np.zeros((2, 2, 6, 6)))], "join", axis=1))
    refused(
        constant, tmp_path, "Concat 'join': constant 'constant_7' must be floats with a batch of 1, not float32 (2, 2"
    )
    mixed = map_model(lambda m, x: m.node("Concat", [x, m.quantize(x, SX)], "join", axis=1))
    refused(mixed, tmp_path, "Concat 'join': reads the codes 'quantizelinear_9'; a DequantizeLinear must stand between")
    model = Model()
    x = model.input((4,))
    codes = [model.quantize(model.qdq(x, SX), scale) for scale in (SX, 0.2)]
    model.output(model.dequantize(model.node("Concat", codes, "join", axis=1), SX))
    refused(model, tmp_path, "Concat 'join': codes can be joined only where they have one type, scale and zero point")
    raw = map_model(lambda m, x: m.node("MaxPool", [x], "pool", kernel_shape=[2, 2]))
    joined = raw.node("Concat", [raw.nodes[-1].output[0], raw.qdq(raw.nodes[-1].output[0], 0.2)], "join", axis=1)
    raw.output(raw.qdq(raw.node("Add", [joined, joined], "sum"), SX))
    refused(
        raw, tmp_path, "Add 'sum': reads the unrounded result of Concat 'join'; a QuantizeLinear must stand between"
    )


def test_codes_are_padded_with_codes_only(tmp_path):
    model = Model()
    codes = model.quantize(model.input((3, 4)), SX, 5)
    y = model.node("Pad", [codes, model.constant([0, 0, 1, 0, 0, 1], "int64"), model.constant(130.0)], "frame")
    model.output(model.dequantize(y, SX, 5))
    refused(model, tmp_path, "Pad 'frame': the value must be a code of the tensor's type, not 130.0")
