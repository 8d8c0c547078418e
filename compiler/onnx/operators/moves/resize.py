"""Resize and Upsample: nearest positions, and linear interpolation where it is exact in integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor, logical_shape

from ....reading.graph_builder import GraphBuilder
from ....reading.pointwise.pairs import larger
from ....reading.products.resize import NONE, Interpolation, InterpolationSource, interpolation, nearest
from ....reading.values import Codes, Real, Target, Value
from ....reading.windows import MAX_SIZE
from ...environment import Environment
from ...operator import Operator

MODES = (
    "half_pixel",
    "pytorch_half_pixel",
    "half_pixel_symmetric",
    "asymmetric",
    "align_corners",
    "tf_half_pixel_for_nn",
)
MAX_PERIOD = 64
Float32 = NDArray[np.float32]


def lower_resize(env: Environment, op: Operator) -> Value:
    """Resize of height and width (nearest: of any axis but the batch's) to constant scales or sizes."""
    mode = op.text("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise ValueError(f"mode must be nearest or linear, not {mode!r}: export the upsampling with one of these")
    op.only("antialias", 0, "export the interpolation without it")
    op.only("keep_aspect_ratio_policy", "stretch", "give the sizes themselves")
    transformation = op.text("coordinate_transformation_mode", "asymmetric" if _is_old(op) else "half_pixel")
    if transformation not in MODES:
        raise ValueError(f"coordinate_transformation_mode must be one of {', '.join(MODES)}, not {transformation!r}")
    value = env.value(op.input(0))
    if mode == "nearest":
        rule = op.text("nearest_mode", "floor" if _is_old(op) else "round_prefer_floor")

        def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
            return nearest(builder, x, _places(op, env, x, transformation, rule), name)

        return env.moved(op, apply)
    if isinstance(value, Codes):
        return Codes(_of_codes(env, op, value, transformation), value.type)
    x = env.operand(op, 0)
    return Real(InterpolationSource(op, x, _interpolations(op, env, x, transformation)))


def _is_old(op: Operator) -> bool:
    """Whether it is an Upsample, or the Resize of operator set 10, which has two inputs."""
    return op.type == "Upsample" or len(op.inputs) == 2


def _of_codes(env: Environment, op: Operator, value: Codes, transformation: str) -> Tensor:
    """Interpolated codes: ONNX Runtime drops the fraction of the codes themselves, toward the code 0 of their type."""
    x, builder = value.tensor, env.builder
    if builder.arithmetic.rounding in ("floor", "toward_zero"):
        raise ValueError(f"interpolated codes need a rounding to the nearest, not {builder.arithmetic.rounding!r}")
    axes = _interpolations(op, env, x, transformation)
    if any(axis.denominator & (axis.denominator - 1) for axis in axes):
        raise ValueError(
            "interpolates codes, of which ONNX Runtime drops what float32 leaves of the fraction; only scales whose "
            "weights are powers of 2 are exact: let a DequantizeLinear stand in front of it (QuantFormat.QDQ)"
        )
    name = builder.unique(op.label)
    target = Target(x.scale, x.zero_point, x.y_min, x.y_max)
    down, up = (InterpolationSource(op, x, axes, toward) for toward in (-1, 1))
    if value.type == np.uint8 or x.y_min >= 0:
        return down.emit(builder, name, target)
    floor = down.emit(builder, builder.unique(f"{name}/floor"), target)
    ceiling = up.emit(
        builder, builder.unique(f"{name}/ceiling"), Target(x.scale, x.zero_point, x.y_min, min(x.y_max, 0))
    )
    return larger(builder, floor, ceiling, name)


def _scales(op: Operator, env: Environment, x: Tensor) -> tuple[tuple[int, ...], list[np.float32]]:
    """(output sizes, scales) of each logical axis but the batch's, in float32 as ONNX Runtime has them."""
    shape = logical_shape(x.shape)
    rank = len(shape) + 1
    given, sizes = (1 if _is_old(op) else 2), env.integers(op, 3, "sizes") if op.input(3) else None
    axes = op.integers("axes") or tuple(range(rank))
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
        raise ValueError(f"axes must differ and be from {-rank} to {rank - 1}, not {axes}")
    if op.type == "Upsample" and "scales" in op.attributes:
        scales: tuple[float, ...] | None = tuple(op.attributes["scales"].floats)
    else:
        scales = tuple(env.reals(op, given, "scales").reshape(-1)) if op.input(given) else None
    scales = scales or None
    if (scales is None) == (sizes is None) or len(scales or sizes or ()) != len(axes):
        raise ValueError(f"must have scales or sizes, one for each of {len(axes)} axes, and not both")
    output, factors = [1, *shape], [np.float32(1)] * rank
    for place, axis in enumerate(axes):
        axis %= rank
        size = (1, *shape)[axis]
        if sizes is not None:
            if axis == 0 and (sizes[place] == env.batch or sizes[place] == 1):
                continue
            output[axis], factors[axis] = sizes[place], np.float32(sizes[place]) / np.float32(size)
        elif scales is not None:
            factors[axis] = np.float32(scales[place])
            if not 0 < factors[axis] < MAX_SIZE:
                raise ValueError(f"scales must be from 0 to {MAX_SIZE}, not {tuple(map(float, scales))}")
            output[axis] = math.floor(np.float32(size) * factors[axis])
    if factors[0] != 1:
        raise ValueError("the batch must keep its size")
    if not all(1 <= size <= MAX_SIZE for size in output):
        raise ValueError(f"the result must have sizes from 1 to {MAX_SIZE}, not {tuple(output[1:])}")
    whole = all(size == before * factor for size, before, factor in zip(output[1:], shape, factors[1:], strict=True))
    if not whole and op.text("coordinate_transformation_mode", "") == "half_pixel_symmetric":
        raise ValueError(
            f"half_pixel_symmetric needs scales that give whole sizes, not {tuple(map(float, factors[1:]))}"
        )
    return tuple(output[1:]), factors[1:]


def _places(op: Operator, env: Environment, x: Tensor, transformation: str, rule: str) -> list[list[int]]:
    """Of each logical axis the positions that are read, in float32 as ONNX Runtime computes them."""
    output, scales = _scales(op, env, x)
    made = []
    for size, wanted, scale in zip(logical_shape(x.shape), output, scales, strict=True):
        places = np.arange(wanted, dtype=np.float32)
        if scale != 1:
            places = _coordinates(places, size, wanted, scale, transformation)
        made.append(np.clip(_rounded(places, rule), 0, size - 1).astype(np.int64).tolist())
    return made


def _coordinates(index: Float32, size: int, wanted: int, scale: np.float32, transformation: str) -> Float32:
    half = np.float32(0.5)
    match transformation:
        case "asymmetric":
            return np.asarray(index / scale)
        case "align_corners":
            return np.asarray(index * np.float32(size - 1) / np.float32(max(wanted - 1, 1)))
        case "tf_half_pixel_for_nn":
            return np.asarray((index + half) / scale)
        case _:
            single = transformation == "pytorch_half_pixel" and wanted == 1
            return np.zeros_like(index) if single else np.asarray((index + half) / scale - half)


def _rounded(places: Float32, rule: str) -> Float32:
    match rule:
        case "floor":
            return np.floor(places)
        case "ceil":
            return np.ceil(places)
        case "round_prefer_floor":
            return np.asarray(np.ceil(places - np.float32(0.5)))
        case "round_prefer_ceil":
            return np.asarray(np.floor(places + np.float32(0.5)))
        case _:
            raise ValueError(f"nearest_mode must be floor, ceil, round_prefer_floor or round_prefer_ceil, not {rule!r}")


def _interpolations(
    op: Operator, env: Environment, x: Tensor, transformation: str
) -> tuple[Interpolation, Interpolation]:
    """Rows and columns, at the simplest scales that float32 has rounded."""
    output, scales = _scales(op, env, x)
    shape = logical_shape(x.shape)
    if len(shape) not in (2, 3) or output[0] != shape[0] or transformation == "tf_half_pixel_for_nn":
        raise ValueError("linear interpolation is of the height and width of maps, or of the length of sequences")
    made = []
    for size, wanted, scale in list(zip(shape, output, scales, strict=True))[1:]:
        step = 1 / _simplest(scale)
        half = Fraction(1, 2)
        shift = half * step - half if "half_pixel" in transformation else Fraction(0)
        if transformation == "align_corners":
            step = Fraction(size - 1, wanted - 1) if wanted > 1 and size > 1 else Fraction(1)
        if wanted == 1 and transformation in ("align_corners", "pytorch_half_pixel"):
            step, shift = Fraction(1), Fraction(0)
        made.append(interpolation(size, wanted, step, shift))
    rows, columns = (NONE, *made)[-2:]
    return rows, columns


def _simplest(scale: np.float32) -> Fraction:
    """The fraction with the smallest denominator whose nearest float32 is `scale`."""
    for denominator in range(1, MAX_PERIOD + 1):
        numerator = round(float(scale) * denominator)
        if numerator and np.float32(numerator) / np.float32(denominator) == scale:
            return Fraction(numerator, denominator)
    raise ValueError(f"linear interpolation needs a scale that is a ratio of small integers, not {scale}")
