"""Operators that move codes, against TFLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.tflite.writer import FileOperator, FileTensor
from emulator import run_graph
from tests.compiler.tflite.net import Net, check_tflm, graph, refusal


@pytest.mark.parametrize(
    "pads", [((0, 0), (1, 2), (0, 3), (0, 0)), ((0, 0), (0, 0), (0, 0), (2, 1)), ((0, 0), (1, 1), (2, 0), (0, 3))]
)
def test_pad(tmp_path: Path, pads: tuple[tuple[int, int], ...]) -> None:
    for code in ("PAD", "PADV2"):
        net = Net(1)
        x = net.input((1, 4, 3, 5))
        shape = tuple(n + sum(p) for n, p in zip((1, 4, 3, 5), pads, strict=True))
        inputs = [x, net.constant(np.array(pads, np.int32))]
        if code == "PADV2":
            tensor = net[x]
            inputs.append(net.constant(np.array([-77], np.int8), tensor.scale, tensor.zero_point))
        y = net.add(code, inputs, shape, x)
        net.add("QUANTIZE", [y], shape)
        check_tflm(net, tmp_path)


def test_reshapes(tmp_path: Path) -> None:
    net = Net(2)
    x = net.input((1, 4, 3, 5))
    y = net.add("RESHAPE", [x, net.integers(1, 12, 5)], (1, 12, 5), x)
    y = net.add("EXPAND_DIMS", [y, net.integers(2)], (1, 12, 1, 5), y)
    y = net.add("SQUEEZE", [y], (1, 12, 5), y, SqueezeDims=[2])
    y = net.add("TRANSPOSE", [y, net.integers(0, 2, 1)], (1, 5, 12), y)
    y = net.add("RESHAPE", [y, net.integers(1, 60)], (1, 60), y)
    net.add("QUANTIZE", [y], (1, 60))
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2)])
def test_transpose(tmp_path: Path, order: tuple[int, ...]) -> None:
    net = Net(3)
    x = net.input((1, 4, 3, 5))
    shape = tuple((1, 4, 3, 5)[axis] for axis in order)
    net.add("TRANSPOSE", [x, net.integers(*order)], shape, x)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenation(tmp_path: Path, axis: int) -> None:
    net = Net(4)
    quantization = net.quantization()
    shapes = [[1, 4, 3, 5] for _ in range(3)]
    for index, shape in enumerate(shapes):
        shape[axis] = index + 1
    parts = [net.input(shape, quantization) for shape in shapes]
    whole = [1, 4, 3, 5]
    whole[axis] = 6
    net.add("CONCATENATION", parts, whole, quantization, Axis=axis)
    check_tflm(net, tmp_path)


def test_concatenation_with_a_constant_and_itself(tmp_path: Path) -> None:
    net = Net(5)
    x = net.input((1, 4, 5))
    tensor = net[x]
    c = net.constant(net.rng.integers(-128, 128, (1, 2, 5)).astype(np.int8), tensor.scale, tensor.zero_point)
    net.add("CONCATENATION", [x, c, x], (1, 10, 5), x, Axis=1)
    check_tflm(net, tmp_path)


def several(
    net: Net, code: str, inputs: list[str], shapes: list[tuple[int, ...]], like: str, **options: int
) -> list[str]:
    """An operator with several results."""
    names = [f"part{i}" for i in range(len(shapes))]
    tensor = net[like]
    net.tensors += [
        FileTensor(name, shape, "int8", tensor.scale, tensor.zero_point)
        for name, shape in zip(names, shapes, strict=True)
    ]
    net.operators.append(FileOperator(code, inputs, names, options))
    return names


def test_split_and_unpack(tmp_path: Path) -> None:
    net = Net(6)
    x = net.input((1, 4, 3, 6))
    names = several(net, "SPLIT", [net.integers(3), x], [(1, 4, 3, 2)] * 3, x, NumSplits=3)
    check_tflm(net, tmp_path, *names)
    net = Net(6)
    x = net.input((1, 4, 3, 6))
    sizes = net.integers(1, 2, 3)
    names = several(net, "SPLIT_V", [x, sizes, net.integers(-1)], [(1, 4, 3, n) for n in (1, 2, 3)], x, NumSplits=3)
    check_tflm(net, tmp_path, *names)
    net = Net(6)
    x = net.input((1, 3, 5))
    names = several(net, "UNPACK", [x], [(1, 5)] * 3, x, Num=3, Axis=1)
    net.add("PACK", names[::-1], (1, 5, 3), x, ValuesCount=3, Axis=2)
    check_tflm(net, tmp_path)


def test_slices(tmp_path: Path) -> None:
    net = Net(7)
    x = net.input((1, 6, 5, 4))
    y = net.add("SLICE", [x, net.integers(0, 1, 0, 2), net.integers(1, 4, -1, 2)], (1, 4, 5, 2), x)
    begin, end, stride = net.integers(0, 0, 1, 0), net.integers(0, -1, 5, 0), net.integers(1, 2, 2, 1)
    y = net.add("STRIDED_SLICE", [y, begin, end, stride], (1, 2, 2, 2), y, BeginMask=9, EndMask=9)
    begin, end, stride = net.integers(0, 1, 0, 0), net.integers(1, 2, 2, 2), net.integers(1, 1, 1, 1)
    net.add("STRIDED_SLICE", [y, begin, end, stride], (1, 2, 2), y, ShrinkAxisMask=2)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("indices", [1, [[3, 0, 0], [2, 2, 1]], [0], [0, 1, 2, 3]])
def test_gather_with_indices_of_any_rank(tmp_path: Path, indices: int | list[int] | list[list[int]]) -> None:
    places = np.array(indices, np.int32)
    net = Net(15)
    x = net.input((1, 3, 4, 5))
    net.add("GATHER", [x, net.constant(places)], (1, 3, *places.shape, 5), x, Axis=-2)
    check_tflm(net, tmp_path)


def test_slices_backwards(tmp_path: Path) -> None:
    """Begins and ends beyond the map, with masks and without; all of an axis is turned around, too."""
    net = Net(12)
    x = net.input((1, 7, 8, 6))
    places = net.integers(0, 9, -2, 5), net.integers(1, -9, 1, -7), net.integers(1, -3, -2, -1)
    y = net.add("STRIDED_SLICE", [x, *places], (1, 3, 3, 6), x)
    places = net.integers(0, 1, 1, 1), net.integers(1, 0, 1, 9), net.integers(1, -1, -1, 2)
    net.add("STRIDED_SLICE", [y, *places], (1, 3, 3, 3), y, BeginMask=14, EndMask=6)
    check_tflm(net, tmp_path)


def test_an_axis_is_dropped_at_its_begin_unless_that_is_masked(tmp_path: Path) -> None:
    for mask, begin in ((0, 2), (4, 2), (4, -1)):
        net = Net(13)
        x = net.input((1, 3, 5, 4))
        places = net.integers(0, 1, begin, 0), net.integers(1, 3, 5, 4), net.integers(1, 1, 1, 1)
        net.add("STRIDED_SLICE", [x, *places], (1, 2, 4), x, BeginMask=mask, ShrinkAxisMask=4)
        check_tflm(net, tmp_path)


def test_slices_that_select_nothing(tmp_path: Path) -> None:
    for begin, end, stride, text in (
        (1, 3, 0, "strides must not be 0, as that of axis 1 is"),
        (1, 3, -1, "must select some of the 5 indices of axis 1, not 1 to 3"),
        (3, 3, 1, "must select some of the 5 indices of axis 1, not 3 to 3"),
    ):
        net = Net(14)
        x = net.input((1, 5))
        places = net.integers(0, begin), net.integers(1, end), net.integers(1, stride)
        net.add("STRIDED_SLICE", [x, *places], (1, 2), x)
        assert text in refusal(net, tmp_path)


@pytest.mark.parametrize("align, half", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (2, 9), (12, 1)])
def test_resize_nearest(tmp_path: Path, align: bool, half: bool, size: tuple[int, int]) -> None:
    net = Net(8)
    x = net.input((1, 3, 4, 5))
    net.add(
        "RESIZE_NEAREST_NEIGHBOR", [x, net.integers(*size)], (1, *size, 5), x, AlignCorners=align, HalfPixelCenters=half
    )
    check_tflm(net, tmp_path)


def test_other_orders(tmp_path: Path) -> None:
    net = Net(9)
    x = net.input((1, 4, 6, 8))
    y = net.add("SPACE_TO_DEPTH", [x], (1, 2, 3, 32), x, BlockSize=2)
    y = net.add("DEPTH_TO_SPACE", [y], (1, 8, 12, 2), y, BlockSize=4)
    net.add("GATHER", [y, net.integers(3, 3, 0, 1, 2, 7)], (1, 6, 12, 2), y, Axis=1)
    check_tflm(net, tmp_path)


def test_reverse(tmp_path: Path) -> None:
    """TFLM has no kernel of REVERSE_V2."""
    net = Net(10)
    x = net.input((1, 5, 3))
    net.add("REVERSE_V2", [x, net.integers(1)], (1, 5, 3), x)
    codes = net.codes()
    np.testing.assert_array_equal(run_graph(graph(net, tmp_path), codes)["y0"], codes["x0"][:, ::-1])


def test_a_shape_that_is_computed(tmp_path: Path) -> None:
    """A Flatten of an unknown batch: SHAPE, STRIDED_SLICE and PACK make the shape that the result's tensor has too."""
    net = Net(11)
    x = net.input((1, 4, 3))
    shape = net.add("SHAPE", [x], (3,), type="int32")
    pads = (net.integers(0), net.integers(1), net.integers(1))
    batch = net.add("STRIDED_SLICE", [shape, *pads], (), type="int32", ShrinkAxisMask=1)
    whole = net.add("PACK", [batch, net.constant(np.array(12, np.int32))], (2,), type="int32", ValuesCount=2)
    net.add("RESHAPE", [x, whole], (1, 12), x)
    check_tflm(net, tmp_path)
