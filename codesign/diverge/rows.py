"""How layers by rows make one code (contract, section 15), in Python's integers."""

from __future__ import annotations

import math

import numpy as np

from emulator.graph import LayerNorm, RMSNorm, Softmax

from .operands import Operands
from .steps import Step, requantization
from .trace import ElementTrace, Index, Operand


def softmax_element(given: Operands, node: Softmax, index: Index) -> ElementTrace:
    """Maximum, entry, sum, divisor, multiplier, code."""
    (name,), bits = node.inputs, _row_bits(given)
    row = [given.code(name, (*index[:-1], place)) for place in range(node.shape[-1])]
    mask = np.broadcast_to(1 if node.mask is None else node.mask, node.shape)[index[:-1]].tolist()
    parameters = node.parameters
    largest = max((x for x, counts in zip(row, mask, strict=True) if counts), default=0)
    entries = [int(parameters.table[largest - x]) if counts else 0 for x, counts in zip(row, mask, strict=True)]
    total, entry = sum(entries), entries[index[-1]]
    multiplier = shift = 0
    steps = [Step("maximum of the codes that count", largest), Step("entry", entry), Step("sum of the entries", total)]
    if total:
        length = total.bit_length()
        divisor = (total << 31) >> length
        digits = bits if parameters.reciprocal < divisor else bits - 1
        multiplier = min((2 * (parameters.reciprocal << digits) + divisor) // (2 * divisor), (1 << bits) - 1)
        shift = digits + parameters.reciprocal_shift + length - 36
        steps += [Step("divisor", divisor), Step(f"multiplier, beside 2^{shift}", multiplier)]
    output = node.zero_point, node.y_min, node.y_max, given.arithmetic
    steps += requantization(entry >> 5, multiplier, shift, *output)
    own = Operand(name, index, row[index[-1]])
    return ElementTrace(node.name, "Softmax", index, steps[-1].value, operands=(own,), steps=tuple(steps))


def norm_element(given: Operands, node: LayerNorm | RMSNorm, index: Index) -> ElementTrace:
    """Sums, spread, reciprocal root, multiplier, sum in 2^−16 of a code, code."""
    (name,), parameters, count, place = node.inputs, node.parameters, node.shape[-1], index[-1]
    values = [given.code(name, (*index[:-1], k)) - parameters.x_zero_point for k in range(count)]
    total = sum(values) if isinstance(node, LayerNorm) else 0
    squares = sum(value * value for value in values)
    spread = count * squares - total * total
    root = exponent = 0
    if spread:
        radicand = (spread << 16) + parameters.epsilon
        while radicand >= 4 ** (9 + exponent):
            exponent += 1
        mantissa = (radicand << 26) // 4 ** (8 + exponent)
        root = min((math.isqrt((1 << 60) // mantissa) + 1) // 2, (1 << 16) - 1)
    gamma, gamma_shift = int(parameters.gamma[place]), int(parameters.gamma_shift[place])
    cut = 32 - _row_bits(given)
    multiplier = (root * abs(gamma)) >> cut
    difference = (count * values[place] - total) * (-1 if gamma < 0 else 1)
    scaled = int(parameters.beta[place]) + ((difference * multiplier << cut) >> (exponent + gamma_shift))
    steps = [
        Step(f"{count} · {squares} − {total}²", spread),
        Step(f"reciprocal root, beside 2^{16 + exponent}", root),
        Step(f"multiplier {root} · {abs(gamma)} / 2^{cut}", multiplier),
        Step(f"{parameters.beta[place]} + {difference} · {multiplier} / 2^{exponent + gamma_shift - cut}", scaled),
        *requantization(scaled, 1, 16, node.zero_point, node.y_min, node.y_max, given.arithmetic),
    ]
    own = Operand(name, index, values[place] + parameters.x_zero_point)
    return ElementTrace(node.name, type(node).__name__, index, steps[-1].value, operands=(own,), steps=tuple(steps))


def _row_bits(given: Operands) -> int:
    """Width of a row's multiplier."""
    return min(max(given.arithmetic.multiplier_bits, 16), 24)
