"""How each of the graph's operators makes one code, in the contract's words and in Python's integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from emulator.graph import (
    Add,
    AveragePool,
    Concat,
    ConstantTensor,
    Convolution,
    LayerNorm,
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
    RMSNorm,
    Slice,
    Softmax,
    Transpose,
)
from emulator.operators.requantization.multiplier import RESCALED_BITS

from .operands import Operands
from .rows import norm_element, softmax_element
from .steps import Step, half_away_mean, requantization, rounded, shared_shift_sum, stored_sum
from .trace import ElementTrace, Index, Operand, PartialSum


def _element(node: Node, index: Index, code: int, **parts: Any) -> ElementTrace:
    return ElementTrace(node.name, type(node).__name__, index, code, **parts)


def _moved(given: Operands, node: Node, index: Index, number: int, place: Index) -> ElementTrace:
    """A code that only moves."""
    found = Operand(node.inputs[number], place, given.code(node.inputs[number], place))
    return _element(node, index, found.code, operands=(found,))


def _summed(
    given: Operands, node: Convolution | Linear, index: Index, terms: list[tuple[Index | None, int]]
) -> ElementTrace:
    """A sum of products in the contract's order; terms: (place, weight code), the channel is the index's last axis."""
    channel, zero, arithmetic = index[-1], given.zero_point(node), given.arithmetic
    weight_zero = 0 if node.weight_zero_point is None else int(node.weight_zero_point[channel])
    start = total = int(node.bias[channel])
    sums = []
    for place, w in terms:
        x = zero if place is None else given.code(node.inputs[0], place)
        product = (x - zero) * (w - weight_zero)
        total, overflowed = stored_sum(total + product, arithmetic)
        sums.append(PartialSum(place, x, w, product, total, overflowed))
    if node.raw:
        return _element(node, index, total, start=start, sums=tuple(sums))
    factors = int(node.multiplier[channel]), int(node.shift[channel])
    steps = requantization(total, *factors, node.zero_point, node.y_min, node.y_max, arithmetic)
    return _element(node, index, steps[-1].value, start=start, sums=tuple(sums), steps=tuple(steps))


def _convolution(given: Operands, node: Convolution, index: Index) -> ElementTrace:
    channel, (outputs, _, _, channels) = index[-1], node.weight.shape
    first = channel // (outputs // node.groups) * channels
    terms: list[tuple[Index | None, int]] = [
        (None if place is None else (*place, first + c), int(node.weight[channel, row, column, c]))
        for row, column, place in given.windows(node, index)
        for c in range(channels)
    ]
    return _summed(given, node, index, terms)


def _linear(given: Operands, node: Linear, index: Index) -> ElementTrace:
    shape = given.shape(node)
    terms: list[tuple[Index | None, int]] = [
        (_unflattened(k, shape), int(node.weight[k, index[-1]])) for k in range(math.prod(shape))
    ]
    return _summed(given, node, index, terms)


def _matrix_product(given: Operands, node: MatrixProduct, index: Index) -> ElementTrace:
    *head, row, column = index
    zeros = given.zero_point(node), given.zero_point(node, 1)
    total, sums = 0, []
    for k in range(node.depth):
        ends = (k, row) if node.a_transposed else (row, k), (column, k) if node.b_transposed else (k, column)
        places = []
        for number, end in enumerate(ends):
            heads = zip(head, given.shape(node, number), node.shape, strict=False)
            places.append((*(at * own // count for at, own, count in heads), *end))
        x, w = (given.code(name, place) for name, place in zip(node.inputs, places, strict=True))
        product = (x - zeros[0]) * (w - zeros[1])
        total, overflowed = stored_sum(total + product, given.arithmetic)
        sums.append(PartialSum(places[0], x, w, product, total, overflowed))
    steps = _requantized(given, node, total, node.multiplier, node.shift)
    return _element(node, index, steps[-1].value, start=0, sums=tuple(sums), steps=tuple(steps))


def _add(given: Operands, node: Add, index: Index) -> ElementTrace:
    a, b = (given.operand(node, number, index) for number in (0, 1))
    sign = -1 if node.subtract else 1
    values = a.code - given.zero_point(node), b.code - given.zero_point(node, 1)
    terms = values[0] * node.a_multiplier, sign * values[1] * node.b_multiplier
    steps = [
        Step(f"a: {values[0]} · {node.a_multiplier}", terms[0]),
        Step(f"b: {sign * values[1]} · {node.b_multiplier}", terms[1]),
        *shared_shift_sum(terms, node.shift, node.zero_point, node.y_min, node.y_max, given.arithmetic),
    ]
    return _element(node, index, steps[-1].value, operands=(a, b), steps=tuple(steps))


def _rescaled_add(given: Operands, node: RescaledAdd, index: Index) -> ElementTrace:
    arithmetic = given.arithmetic
    operands = tuple(given.operand(node, number, index) for number in (0, 1))
    factors = (node.a_multiplier, node.a_shift), (node.b_multiplier, node.b_shift)
    scaled, steps = [], []
    for number, (operand, (multiplier, shift)) in enumerate(zip(operands, factors, strict=True)):
        value = operand.code - given.zero_point(node, number)
        scaled.append(rounded((value << RESCALED_BITS) * multiplier, shift, arithmetic))
        what = f"{'ab'[number]}': {value} · 2^{RESCALED_BITS} · {multiplier} / 2^{shift}, rounded {arithmetic.rounding}"
        steps.append(Step(what, scaled[-1]))
    total = scaled[0] - scaled[1] if node.subtract else scaled[0] + scaled[1]
    steps.append(Step(f"a' {'−' if node.subtract else '+'} b'", total))
    steps += requantization(total, node.multiplier, node.shift, node.zero_point, node.y_min, node.y_max, arithmetic)
    return _element(node, index, steps[-1].value, operands=operands, steps=tuple(steps))


def _product(given: Operands, node: Product, index: Index) -> ElementTrace:
    a, b = (given.operand(node, number, index) for number in (0, 1))
    values = a.code - given.zero_point(node), b.code - given.zero_point(node, 1)
    acc = values[0] * values[1]
    steps = [Step(f"{values[0]} · {values[1]}", acc), *_requantized(given, node, acc, node.multiplier, node.shift)]
    return _element(node, index, steps[-1].value, operands=(a, b), steps=tuple(steps))


def _rescale(given: Operands, node: Rescale, index: Index) -> ElementTrace:
    x = given.operand(node, 0, index)
    steps = _requantized(given, node, x.code - given.zero_point(node), node.multiplier, node.shift)
    return _element(node, index, steps[-1].value, operands=(x,), steps=tuple(steps))


def _requantized(given: Operands, node: Node, acc: int, multiplier: int, shift: int) -> list[Step]:
    return requantization(acc, int(multiplier), int(shift), node.zero_point, node.y_min, node.y_max, given.arithmetic)


def _window_codes(given: Operands, node: MaxPool | AveragePool, index: Index) -> list[Operand]:
    """The codes of a window; padding is not among them."""
    places = [(*place, index[-1]) for _, _, place in given.windows(node, index) if place is not None]
    return [Operand(node.inputs[0], place, given.code(node.inputs[0], place)) for place in places]


def _max_pool(given: Operands, node: MaxPool, index: Index) -> ElementTrace:
    operands = _window_codes(given, node, index)
    return _element(node, index, max(operand.code for operand in operands), operands=tuple(operands))


def _average_pool(given: Operands, node: AveragePool, index: Index) -> ElementTrace:
    operands = _window_codes(given, node, index)
    if node.raw:
        total = sum(operand.code for operand in operands)
        mean = half_away_mean(total, len(operands))
        code = min(max(mean, node.y_min), node.y_max)
        steps = [
            Step("the sum of the codes", total),
            Step(f"{total} / {len(operands)}, half away from zero", mean, Fraction(total, len(operands))),
            Step(f"clamp to {node.y_min} … {node.y_max}", code),
        ]
    else:
        total = sum(operand.code - given.zero_point(node) for operand in operands)
        at = (0, *index[:-1])[-2:]
        multiplier, shift = (int(np.asarray(part)[at]) for part in (node.multiplier, node.shift))
        steps = [
            Step(f"the sum of the codes, each less its zero point {given.zero_point(node)}", total),
            *_requantized(given, node, total, multiplier, shift),
        ]
    return _element(node, index, steps[-1].value, operands=tuple(operands), steps=tuple(steps))


def _table(given: Operands, node: LookupTable, index: Index) -> ElementTrace:
    x = given.operand(node, 0, index)
    entry = x.code - given.arithmetic.activation_range[0]
    code = int(node.table[entry])
    return _element(node, index, code, operands=(x,), steps=(Step(f"entry {entry} of the table", code),))


def _transpose(given: Operands, node: Transpose, index: Index) -> ElementTrace:
    place = [0] * len(index)
    for at, axis in zip(index, node.axes[1:], strict=True):
        place[axis - 1] = at
    return _moved(given, node, index, 0, tuple(place))


def _concat(given: Operands, node: Concat, index: Index) -> ElementTrace:
    axis, at = node.axis - 1, index[node.axis - 1]
    for number in range(len(node.inputs)):
        size = given.shape(node, number)[axis]
        if at < size:
            break
        at -= size
    return _moved(given, node, index, number, (*index[:axis], at, *index[axis + 1 :]))


def _slice(given: Operands, node: Slice, index: Index) -> ElementTrace:
    axis = node.axis - 1
    at = node.start + index[axis] * node.step
    return _moved(given, node, index, 0, (*index[:axis], at, *index[axis + 1 :]))


def _pad(given: Operands, node: Pad, index: Index) -> ElementTrace:
    before = node.padding[:2][2 - len(index[:-1]) :]
    place = tuple(at - size for at, size in zip(index[:-1], before, strict=True))
    if all(0 <= at < size for at, size in zip(place, given.shape(node)[:-1], strict=True)):
        return _moved(given, node, index, 0, (*place, index[-1]))
    zero = given.zero_point(node)
    return _element(node, index, zero, operands=(Operand(node.inputs[0], None, zero),))


def _constant(given: Operands, node: ConstantTensor, index: Index) -> ElementTrace:
    return _element(node, index, int(node.codes[index]))


def _reshape(given: Operands, node: Reshape, index: Index) -> ElementTrace:
    flat = 0
    for at, size in zip(index, node.shape, strict=True):
        flat = flat * size + at
    return _moved(given, node, index, 0, _unflattened(flat, given.shape(node)))


def _unflattened(flat: int, shape: Index) -> Index:
    place = []
    for size in reversed(shape):
        flat, at = divmod(flat, size)
        place.append(at)
    return tuple(reversed(place))


TRACES: dict[type[Node], Callable[[Operands, Any, Index], ElementTrace]] = {
    Add: _add,
    AveragePool: _average_pool,
    Concat: _concat,
    ConstantTensor: _constant,
    Convolution: _convolution,
    LayerNorm: norm_element,
    Linear: _linear,
    LookupTable: _table,
    MatrixProduct: _matrix_product,
    MaxPool: _max_pool,
    Pad: _pad,
    Product: _product,
    Rescale: _rescale,
    RescaledAdd: _rescaled_add,
    Reshape: _reshape,
    RMSNorm: norm_element,
    Slice: _slice,
    Softmax: softmax_element,
    Transpose: _transpose,
}
"""Operator → how it makes the code at an index."""
