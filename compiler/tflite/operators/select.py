"""SPLIT, SPLIT_V, SLICE, STRIDED_SLICE and UNPACK: parts of a tensor."""

from __future__ import annotations

from emulator.graph import Tensor

from ..environment import Environment
from ..moves import gathered, reshaped, sliced
from ..operator import Operator


def lower_split(env: Environment, op: Operator) -> None:
    """SPLIT has (axis, value), SPLIT_V (value, sizes, axis)."""
    value, where = (1, 0) if op.type == "SPLIT" else (0, 2)
    x, found = env.operand(op, value), env.file_tensor(op, value)
    axis = env.axis(found, _one(env, op, where))
    count = len(op.made)
    if op.type == "SPLIT":
        if not count or x.shape[axis] % count:
            raise ValueError(f"axis of {x.shape[axis]} must be divided into its {count} results evenly")
        sizes = [x.shape[axis] // count] * count
    else:
        sizes = env.integers(op, 1, most=max(count, 1))
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
        if len(sizes) != count or min(sizes) < 1 or sum(sizes) != x.shape[axis]:
            raise ValueError(f"sizes must be {count} that add up to {x.shape[axis]}, not {sizes}")
    start = 0
    for index, size in enumerate(sizes):
        _check(env, op, x, index)
        if op.made[index] >= 0:
            part = sliced(env.builder, x, axis, range(start, start + size), env.label(op, index=index))
            env.put(op, part, index)
        start += size


def lower_unpack(env: Environment, op: Operator) -> None:
    """Every index of an axis as a tensor of its own, without the axis."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    axis = env.axis(found, op.integer("UnpackOptions", "Axis"))
    if len(op.made) != x.shape[axis]:
        raise ValueError(f"must have {x.shape[axis]} results, not {len(op.made)}")
    for index in range(len(op.made)):
        _check(env, op, x, index)
        part = sliced(env.builder, x, axis, range(index, index + 1), env.label(op, "slice", index))
        shape = env.sample_shape(env.output(op, index))
        env.put(op, reshaped(env.builder, part, shape, env.label(op, index=index)), index)


def lower_slice(env: Environment, op: Operator) -> None:
    """Begin and size for every axis; a size of −1 goes to the end."""
    found = env.file_tensor(op, 0)
    begin, size = env.integers(op, 1), env.integers(op, 2)
    if len(begin) != len(found.shape) or len(size) != len(found.shape):
        raise ValueError(f"begin and size must be {len(found.shape)} integers each, not {begin} and {size}")
    ends = [whole if n == -1 else b + n for b, n, whole in zip(begin, size, found.shape, strict=True)]
    _cut(env, op, [(b, e, 1) for b, e in zip(begin, ends, strict=True)], [])


def lower_strided_slice(env: Environment, op: Operator) -> None:
    """Begin, end and stride for every axis, with masks for those that are left out."""
    options, found = "StridedSliceOptions", env.file_tensor(op, 0)
    for name in ("EllipsisMask", "NewAxisMask"):
        if op.integer(options, name):
            raise ValueError(f"option {name} must be 0; write all axes out, and use RESHAPE for a new one")
    begin, end, stride = (env.integers(op, index) for index in (1, 2, 3))
    rank = len(begin)
    if len(end) != rank or len(stride) != rank or rank > len(found.shape):
        raise ValueError(f"begin, end and strides must be as many as the axes, not {begin}, {end} and {stride}")
    masks = {name: op.integer(options, name) for name in ("BeginMask", "EndMask", "ShrinkAxisMask")}
    offset = bool(op.option(options, "Offset"))
    cuts, dropped = [], []
    for axis, whole in enumerate(found.shape):
        if axis >= rank:
            cuts.append((0, whole, 1))
            continue
        first, last = (0, whole) if stride[axis] > 0 else (whole - 1, -1)
        ending = end[axis] + (begin[axis] if offset else 0)
        start = first if masks["BeginMask"] >> axis & 1 else _place(begin[axis], whole, stride[axis])
        stop = last if masks["EndMask"] >> axis & 1 else _place(ending, whole, stride[axis])
        if masks["ShrinkAxisMask"] >> axis & 1:
            # A mask for its begin counts here, too.
            if not masks["BeginMask"] >> axis & 1:
                start = begin[axis] + whole if begin[axis] < 0 else begin[axis]
            stop = start + 1
            dropped.append(axis)
        cuts.append((start, stop, stride[axis]))
    _cut(env, op, cuts, dropped)


def _place(index: int, size: int, step: int) -> int:
    """A begin or an end as one of 0 … size, going backwards of −1 … size − 1."""
    backwards = int(step < 0)
    return min(max(index + size if index < 0 else index, -backwards), size - backwards)


def _cut(env: Environment, op: Operator, cuts: list[tuple[int, int, int]], dropped: list[int]) -> None:
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    _check(env, op, x, 0)
    for axis, ((start, stop, step), whole) in enumerate(zip(cuts, found.shape, strict=True)):
        if step == 0:
            raise ValueError(f"strides must not be 0, as that of axis {axis} is")
        lowest, highest = (start, stop - 1) if step > 0 else (stop + 1, start)
        if not 0 <= lowest <= highest < whole:
            raise ValueError(f"must select some of the {whole} indices of axis {axis}, not {start} to {stop}")
    # Where the batch is one sample, that is the same without its axis.
    whole = env.has_batch(found) and found.shape[0] > 1
    if whole and (cuts[0] != (0, found.shape[0], 1) or 0 in dropped):
        raise ValueError("must leave the batch as it is")
    first = int(env.has_batch(found))
    shape = env.sample_shape(env.output(op))
    wanted = [axis for axis in range(first, len(cuts)) if range(*cuts[axis]) != range(found.shape[axis])]
    for axis in wanted:
        direct = axis == wanted[-1] and not dropped
        label = env.label(op, "" if direct else f"axis{axis}")
        places = range(*cuts[axis])
        if places.step > 0:
            x = sliced(env.builder, x, axis - first, places, label)
        else:
            env.take("pieces that tensors are taken to", len(places))
            x = gathered(env.builder, x, axis - first, places, label)
    if dropped:
        kept = tuple(size for axis, size in enumerate(x.shape, first) if axis not in dropped) or (1,)
        if kept != shape:
            raise ValueError(f"the result must have the shape {kept} in each sample, not {shape}")
        x = reshaped(env.builder, x, shape, env.label(op))
    env.put(op, x)


def _check(env: Environment, op: Operator, x: Tensor, index: int) -> None:
    target = env.target(op, index=index)
    if (target.scale, target.zero_point) != (x.scale, x.zero_point):
        raise ValueError(f"result {index} must have the input's scale and zero point; put a QUANTIZE between")


def _one(env: Environment, op: Operator, index: int) -> int:
    values = env.integers(op, index, most=1)
    if len(values) != 1:
        raise ValueError(f"{env.file_tensor(op, index)} must be one integer")
    return values[0]
