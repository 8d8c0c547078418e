"""Random layers of the operators that compute or move code by code, for the random graphs."""

from __future__ import annotations

import numpy as np

from emulator import (
    Add,
    Arithmetic,
    Concat,
    LookupTable,
    Node,
    Pad,
    Product,
    Rescale,
    RescaledAdd,
    Slice,
    Tensor,
    Transpose,
)
from emulator.operators.requantization.multiplier import quantize_adder, quantize_multiplier, quantize_rescaled_adder


def quantized(rng: np.random.Generator, arithmetic: Arithmetic) -> dict[str, float | int]:
    """Scale, zero point and clamp of an output."""
    low, high = arithmetic.activation_range
    zero = int(rng.choice([0, low, int(rng.integers(low, high + 1))]))
    y_min = int(rng.choice([low, zero]))
    return {"scale": float(np.float32(rng.uniform(0.01, 0.1))), "zero_point": zero, "y_min": y_min, "y_max": high}


def like(source: Tensor) -> dict[str, float | int]:
    """The quantization of a tensor whose codes only move."""
    return {"scale": source.scale, "zero_point": source.zero_point, "y_min": source.y_min, "y_max": source.y_max}


def random_add(rng: np.random.Generator, a: Tensor, b: Tensor, name: str, arithmetic: Arithmetic) -> Add | RescaledAdd:
    """The sum or difference of two tensors of one shape, by the arithmetic's adder."""
    output = quantized(rng, arithmetic)
    if arithmetic.adder == "rescaled":
        names = ("a_multiplier", "a_shift", "b_multiplier", "b_shift", "multiplier", "shift")
        factors = quantize_rescaled_adder(a.scale, b.scale, output["scale"], arithmetic)
        return RescaledAdd(
            name=name, shape=a.shape, inputs=(a.name, b.name), **output, **dict(zip(names, factors, strict=True)),
            subtract=bool(rng.random() < 0.4),
        )  # fmt: skip
    a_multiplier, b_multiplier, shift = quantize_adder(a.scale, b.scale, output["scale"], arithmetic)
    return Add(
        name=name, shape=a.shape, inputs=(a.name, b.name), **output, a_multiplier=a_multiplier,
        b_multiplier=b_multiplier, shift=shift, subtract=bool(rng.random() < 0.4),
    )  # fmt: skip


def random_product(rng: np.random.Generator, a: Tensor, b: Tensor, name: str, arithmetic: Arithmetic) -> Product:
    """The product of two tensors of one shape."""
    output = quantized(rng, arithmetic)
    scale = min(a.scale * b.scale / output["scale"], 1.0)
    multiplier, shift = (int(v) for v in quantize_multiplier(scale, arithmetic))
    return Product(name=name, shape=a.shape, inputs=(a.name, b.name), **output, multiplier=multiplier, shift=shift)


def random_rescale(rng: np.random.Generator, source: Tensor, name: str, arithmetic: Arithmetic) -> Rescale:
    """The same values under another scale."""
    output = quantized(rng, arithmetic)
    multiplier, shift = (int(v) for v in quantize_multiplier(source.scale / output["scale"], arithmetic))
    return Rescale(name=name, shape=source.shape, inputs=(source.name,), **output, multiplier=multiplier, shift=shift)


def random_table(rng: np.random.Generator, source: Tensor, name: str, arithmetic: Arithmetic) -> LookupTable:
    """Any table."""
    output = quantized(rng, arithmetic)
    table = rng.integers(output["y_min"], output["y_max"] + 1, 1 << arithmetic.activation_bits, dtype=np.int8)
    return LookupTable(name=name, shape=source.shape, inputs=(source.name,), **output, table=table)


def random_pad(rng: np.random.Generator, source: Tensor, name: str) -> Pad:
    """A border of up to two pixels."""
    top, left, bottom, right = padding = tuple(int(v) for v in rng.integers(0, 3, 4))
    height, width, depth = source.shape
    shape = (height + top + bottom, width + left + right, depth)
    return Pad(name=name, shape=shape, inputs=(source.name,), **like(source), padding=padding)


def random_slice(rng: np.random.Generator, source: Tensor, name: str) -> Slice:
    """Some elements along any axis."""
    axis = int(rng.integers(len(source.shape)))
    size = source.shape[axis]
    start = int(rng.integers(size))
    stop, step = int(rng.integers(start + 1, size + 1)), int(rng.integers(1, min(3, size) + 1))
    shape = list(source.shape)
    shape[axis] = len(range(start, stop, step))
    return Slice(
        name=name, shape=tuple(shape), inputs=(source.name,), **like(source), axis=axis + 1, start=start, stop=stop,
        step=step,
    )  # fmt: skip


def random_transpose(rng: np.random.Generator, source: Tensor, name: str) -> Transpose:
    """The stored axes in any order."""
    order = [int(v) for v in rng.permutation(len(source.shape))]
    shape = tuple(source.shape[axis] for axis in order)
    return Transpose(
        name=name, shape=shape, inputs=(source.name,), **like(source), axes=(0, *(axis + 1 for axis in order))
    )


def random_concat(rng: np.random.Generator, sources: list[Tensor], name: str) -> Concat:
    """Tensors of one scale and shape along any axis."""
    axis = int(rng.integers(len(sources[0].shape)))
    shape = list(sources[0].shape)
    shape[axis] *= len(sources)
    limits = {
        "y_min": min(source.y_min for source in sources),
        "y_max": max(source.y_max for source in sources),
    }
    return Concat(
        name=name, shape=tuple(shape), inputs=tuple(source.name for source in sources),
        **{**like(sources[0]), **limits}, axis=axis + 1,
    )  # fmt: skip


def random_elementwise(
    rng: np.random.Generator, tensors: list[Tensor], name: str, arithmetic: Arithmetic
) -> list[Node]:
    """One of these layers behind the last tensor, with what it needs in front of it; its inputs may be older ones."""
    source = tensors[-1]
    partners = [tensor for tensor in tensors if tensor.shape == source.shape]
    other = partners[int(rng.integers(len(partners)))]
    sides = (source, other) if rng.random() < 0.5 else (other, source)
    match int(rng.integers(8)):
        case 0 | 1:
            return [random_add(rng, *sides, name, arithmetic)]
        case 2:
            return [random_product(rng, *sides, name, arithmetic)]
        case 3:
            return [random_table(rng, source, name, arithmetic)]
        case 4:
            return [random_pad(rng, source, name)] if len(source.shape) == 3 else []
        case 5:
            return [random_slice(rng, source, name)]
        case 6:
            return [random_transpose(rng, source, name)]
        case _:
            first = random_rescale(rng, source, name + "_scaled", arithmetic)
            same = [t for t in partners if (t.scale, t.zero_point) == (first.scale, first.zero_point)]
            second = random_rescale(rng, other, name + "_other", arithmetic)
            second = Rescale(**{**vars(second), **like(first)})
            return [first, second, random_concat(rng, [first, second, *same[:1]], name)]
