"""Windows as ONNX writes them: kernel_shape, strides, dilations, pads, auto_pad and ceil_mode of a node."""

from __future__ import annotations

from emulator.graph import Tensor, map_size

from ..reading.products.phases import WHOLE, PhasedAxis
from ..reading.products.transposed_convolution import transposed_axis
from ..reading.windows import (
    MAX_SIZE,
    Padding,
    Pair,
    WindowGeometry,
    extent,
    same_padding,
    spatial_axes,
    window_geometry,
)
from .operator import Operator

COUNTS = {1: "one integer", 2: "two integers", 4: "four integers"}


def node_geometry(op: Operator, x: Tensor, kernel: tuple[int, ...]) -> WindowGeometry:
    """Geometry of a Conv, MaxPool or AveragePool node with a kernel as in the file on a map or a sequence.

    Raises ``ValueError`` for a vector, negative padding, an auto_pad that the standard does not know, and where no
    window fits.
    """
    axes = spatial_axes(x)
    if len(kernel) != axes or not all(1 <= k <= MAX_SIZE for k in kernel):
        raise ValueError(f"kernel_shape must be {COUNTS[axes]} from 1 to {MAX_SIZE} ({axes}-D), not {kernel}")
    size, sides = map_size(x), _pair(kernel)
    strides, dilations = (_pair(_steps(op, name, axes)) for name in ("strides", "dilations"))
    extents = extent(sides[0], dilations[0]), extent(sides[1], dilations[1])
    padding = _padding(op, axes, size, strides, extents)
    return window_geometry(size, sides, strides, padding, dilations, bool(op.integer("ceil_mode", 0)))


def transposed_axes(op: Operator, x: Tensor, kernel: tuple[int, ...]) -> tuple[PhasedAxis, PhasedAxis]:
    """Rows and columns of a ConvTranspose node with a kernel as in the file on a map or a sequence."""
    axes = spatial_axes(x)
    if len(kernel) != axes or not all(1 <= k <= MAX_SIZE for k in kernel):
        raise ValueError(f"kernel_shape must be {COUNTS[axes]} from 1 to {MAX_SIZE} ({axes}-D), not {kernel}")
    strides, dilations = (_steps(op, name, axes) for name in ("strides", "dilations"))
    extra, wanted = op.integers("output_padding") or (0,) * axes, op.integers("output_shape")
    if len(extra) != axes or not all(0 <= n < max(s, d) for n, s, d in zip(extra, strides, dilations, strict=True)):
        raise ValueError(f"output_padding must be {COUNTS[axes]} from 0 to below stride or dilation, not {extra}")
    if wanted is not None and len(wanted) != axes:
        raise ValueError(f"output_shape must be {COUNTS[axes]}, not {wanted}")
    automatic, sizes = op.text("auto_pad", "NOTSET"), map_size(x)[-axes:]
    padding = _padding(op, axes, (1, 1), (1, 1), (1, 1)) if automatic in ("NOTSET", "VALID") else (0, 0, 0, 0)
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {automatic!r}")
    made = []
    for axis in range(axes):
        size, stride, dilation = sizes[axis], strides[axis], dilations[axis]
        whole = stride * (size - 1) + extra[axis] + extent(kernel[axis], dilation)
        before, behind = padding[2 - axes + axis], padding[4 - axes + axis]
        output = whole - before - behind
        if wanted is not None or automatic.startswith("SAME"):
            output = wanted[axis] if wanted is not None else size * stride
            missing = max(whole - output, 0)
            before = missing // 2 if automatic == "SAME_UPPER" else missing - missing // 2
        if not 1 <= output <= MAX_SIZE:
            raise ValueError(f"the result must have sizes from 1 to {MAX_SIZE}, not {output}")
        made.append(transposed_axis(size, kernel[axis], stride, before, dilation, output))
    rows, columns = (WHOLE, *made)[-2:]
    return rows, columns


def _pair(values: tuple[int, ...]) -> Pair:
    return values[-2] if len(values) > 1 else 1, values[-1]


def _steps(op: Operator, name: str, axes: int) -> tuple[int, ...]:
    values = op.integers(name)
    if values is None:
        return (1,) * axes
    if len(values) != axes or not all(1 <= v <= MAX_SIZE for v in values):
        raise ValueError(f"{name} must be {COUNTS[axes]} from 1 to {MAX_SIZE}, not {values}")
    return values


def _padding(op: Operator, axes: int, size: Pair, strides: Pair, extents: Pair) -> Padding:
    automatic = op.text("auto_pad", "NOTSET")
    pads = op.integers("pads")
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {automatic!r}")
    if automatic == "NOTSET":
        pads = (0,) * (2 * axes) if pads is None else pads
        if len(pads) != 2 * axes or not all(0 <= p <= MAX_SIZE for p in pads):
            raise ValueError(f"pads must be {COUNTS[2 * axes]} from 0 to {MAX_SIZE}, not {pads}")
        top, left, bottom, right = pads if axes == 2 else (0, pads[0], 0, pads[1])
        return top, left, bottom, right
    if pads is not None and any(pads):
        raise ValueError(f"pads must be left out beside auto_pad {automatic}, not {pads}")
    if automatic == "VALID":
        return 0, 0, 0, 0
    return same_padding(size, strides, extents, automatic == "SAME_UPPER")
