"""An integer graph in plain Python integers, one sample at a time, and what its sums and roundings met.

Only the numbers in the `Graph` come from the code under test; every operator is `tests.oracle`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from emulator import (
    Add,
    Arithmetic,
    AveragePool,
    Concat,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    MatrixProduct,
    MaxPool,
    Node,
    Pad,
    Product,
    Rescale,
    RescaledAdd,
    Reshape,
    Slice,
    Tensor,
    Transpose,
)
from tests import oracle

Codes = NDArray[np.int64]


@dataclass
class Met:
    """Of one layer and one sample: sums that overflowed, quotients that were ties, outputs outside the code range."""

    overflows: int = 0
    ties: int = 0
    clips: int = 0


def run(graph: Graph, sample: Mapping[str, NDArray[np.int8]]) -> dict[str, tuple[Codes, Met]]:
    """{layer: its codes, stored layout without the batch axis, and what it met} of one sample of input codes.

    sample : {input: codes in the stored layout, without the batch axis}
    """
    tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in graph.inputs}
    codes = {name: values.astype(np.int64) for name, values in sample.items()}
    result = {}
    for node in graph.nodes:
        met = Met()
        operands, zeros = [codes[name] for name in node.inputs], [tensors[name].zero_point for name in node.inputs]
        made = _layer(node, operands, zeros, graph.arithmetic, met)
        assert made.shape == node.shape, node.name
        tensors[node.name], codes[node.name] = node, made
        result[node.name] = made, met
    return result


def _layer(node: Node, operands: list[Codes], zeros: list[int], arithmetic: Arithmetic, met: Met) -> Codes:
    x, zero = operands[0], zeros[0]
    match node:
        case Convolution() | Linear():
            acc = _sums(node, x, zero, arithmetic, met)
            if node.raw:
                return acc.reshape(node.shape)
            return _requantized(acc, node.multiplier, node.shift, node, arithmetic, met).reshape(node.shape)
        case MatrixProduct():
            acc = _products(node, *operands, *zeros, arithmetic, met)
            return _requantized(acc, node.multiplier, node.shift, node, arithmetic, met)
        case Add():
            b = (operands[1] - zeros[1]) * node.b_multiplier
            acc = (x - zero) * node.a_multiplier + (-b if node.subtract else b)
            return _requantized(acc, 1, node.shift, node, arithmetic, met)
        case RescaledAdd():
            sides = (x, zero, node.a_multiplier, node.a_shift), (operands[1], zeros[1], node.b_multiplier, node.b_shift)
            a, b = (
                np.vectorize(
                    lambda code, side=side: oracle.rescaled_operand(
                        int(code), *side[1:], arithmetic.rounding, arithmetic.multiplier_bits
                    ),
                    otypes=[np.int64],
                )(side[0])
                for side in sides
            )
            return _requantized(a - b if node.subtract else a + b, node.multiplier, node.shift, node, arithmetic, met)
        case Product():
            acc = (x - zero) * (operands[1] - zeros[1])
            return _requantized(acc, node.multiplier, node.shift, node, arithmetic, met)
        case Rescale():
            return _requantized(x - zero, node.multiplier, node.shift, node, arithmetic, met)
        case AveragePool() if node.raw:
            window = node.kernel, node.strides, node.padding, node.dilations
            means = oracle.pool(_map(x), _raw_mean, *window)
            return np.clip(np.array(means), node.y_min, node.y_max).reshape(node.shape)
        case AveragePool():
            window = node.kernel, node.strides, node.padding, node.dilations
            acc = np.array(oracle.pool(_map(x), lambda codes: sum(code - zero for code in codes), *window))
            factors = (np.asarray(part)[..., None] for part in (node.multiplier, node.shift))
            return _requantized(acc, *factors, node, arithmetic, met).reshape(node.shape)
        case MaxPool():
            window = node.kernel, node.strides, node.padding, node.dilations
            return np.array(oracle.pool(_map(x), max, *window)).reshape(node.shape)
        case LookupTable():
            return node.table.astype(np.int64)[x - arithmetic.activation_range[0]]
        case Transpose():
            return x.transpose([axis - 1 for axis in node.axes[1:]])
        case Concat():
            return np.concatenate(operands, node.axis - 1)
        case Slice():
            return x[(slice(None),) * (node.axis - 1) + (slice(node.start, node.stop, node.step),)]
        case Pad():
            top, left, bottom, right = node.padding
            rows = [(top, bottom)] if x.ndim == 3 else []
            return np.pad(x, [*rows, (left, right), (0, 0)], constant_values=zero)
        case Reshape():
            return x.reshape(node.shape)
    raise AssertionError(f"no oracle for {type(node).__name__}")


def _raw_mean(codes: list[int]) -> int:
    return oracle.round_fraction(Fraction(sum(codes), len(codes)), "half_away")


def _map(x: Codes) -> list[list[list[int]]]:
    """A map, or a sequence as one of height 1."""
    return (x if x.ndim == 3 else x[None]).tolist()


def _sums(node: Convolution | Linear, x: Codes, zero: int, arithmetic: Arithmetic, met: Met) -> Codes:
    bits, mode, bias = arithmetic.accumulator_bits, arithmetic.overflow, node.bias.tolist()
    w_zero = None if node.weight_zero_point is None else node.weight_zero_point.tolist()
    if isinstance(node, Linear):
        sums, flags = oracle.accumulate([x.ravel().tolist()], node.weight.tolist(), bias, zero, bits, mode, w_zero)
        met.overflows = sum(flags[0])
        return np.array(sums[0])
    window = node.strides, node.padding, node.dilations, node.groups, w_zero
    cells = np.array(oracle.convolve(_map(x), node.weight.tolist(), bias, zero, bits, mode, *window))
    met.overflows = int(cells[..., 1].sum())
    return cells[..., 0]


def _products(node: MatrixProduct, a: Codes, b: Codes, za: int, zb: int, arithmetic: Arithmetic, met: Met) -> Codes:
    left = a.swapaxes(-1, -2) if node.a_transposed else a
    right = b.swapaxes(-1, -2) if node.b_transposed else b
    heads = node.shape[:-2]
    # Heads of the operand that has fewer are repeated, each of them next to itself.
    for axis, count in enumerate(heads):
        left = np.repeat(left, count // left.shape[axis], axis)
        right = np.repeat(right, count // right.shape[axis], axis)
    sums = np.empty(node.shape, np.int64)
    for head in np.ndindex(*heads):
        found = oracle.matrix_product(
            left[head].tolist(), right[head].tolist(), za, zb, arithmetic.accumulator_bits, arithmetic.overflow
        )
        sums[head] = found[0]
        met.overflows += int(np.sum(found[1]))
    return sums


def _requantized(
    acc: Codes, multiplier: Codes | int, shift: Codes | int, node: Node, arithmetic: Arithmetic, met: Met
) -> Codes:
    codes = []
    values, multipliers, shifts = (np.broadcast_to(x, acc.shape).ravel().tolist() for x in (acc, multiplier, shift))
    for value, m, s in zip(values, multipliers, shifts, strict=True):
        code, clipped = oracle.requantize(
            value,
            m,
            s,
            node.zero_point,
            node.y_min,
            node.y_max,
            arithmetic.rounding,
            arithmetic.activation_bits,
            arithmetic.multiplier_bits,
        )
        codes.append(code)
        met.clips += clipped
        met.ties += s > 0 and value * m % (1 << s) == 1 << (s - 1)
    return np.array(codes, np.int64).reshape(acc.shape)
