"""CONVOLVE's registers in both dataflows, and what its parts have in common."""

from __future__ import annotations

from typing import Any

from ...instructions import WEIGHT_ZERO_POINT_ROW, Unit
from ..compiled import BLOCK, compiled, copy
from ..state import State

CONVOLVE = int(Unit.CONVOLVE)


@compiled
def extend(value: int, bits: int) -> int:
    """The low `bits` bits as a signed number."""
    half = 1 << (bits - 1)
    return ((value & (2 * half - 1)) ^ half) - half


@compiled
def bank_bit(row: int) -> int:
    """The bit of `bank_reads` of an accumulator row."""
    return 1 << (row & 1)


@compiled
def copy_sums(sums: Any, flags: Any, to_sums: Any, to_flags: Any) -> None:
    """A row of sums with its flags."""
    copy(to_sums, sums)
    copy(to_flags, flags)


@compiled
def read_operands(s: State, at: int) -> None:
    """The operands of position `at`: codes minus the zero point, 0 where padding."""
    c, v = s.config[0], s.convolve
    e, x = v.line[at], v.operands[at]
    if not e.inside:
        for k in range(len(x)):
            x[k] = 0
        return
    codes, half = s.activation[e.address], 1 << (c.activation_bits - 1)
    zero_point, mask, whole = extend(e.zero_point, c.activation_bits), 2 * half - 1, len(x) & -BLOCK
    for b in range(0, whole, BLOCK):
        for k in range(BLOCK):
            x[b + k] = ((codes[b + k] & mask) ^ half) - half - zero_point
    for k in range(whole, len(x)):
        x[k] = ((codes[k] & mask) ^ half) - half - zero_point


@compiled
def read_weights(s: State, address: int, tile: int, row: int, entry: int) -> None:
    """A weight row, for array row `row`, minus the zero points of a parameter entry where the config has them."""
    codes, weights, half = s.weight[address], s.convolve.weights[tile, row], 1 << (s.config[0].weight_bits - 1)
    mask, whole = 2 * half - 1, len(codes) & -BLOCK
    for b in range(0, whole, BLOCK):
        for k in range(BLOCK):
            weights[b + k] = ((codes[b + k] & mask) ^ half) - half
    for k in range(whole, len(codes)):
        weights[k] = ((codes[k] & mask) ^ half) - half
    if s.config[0].weight_zero_points:
        zero_points = s.parameters[entry, WEIGHT_ZERO_POINT_ROW]
        for k in range(len(codes)):
            weights[k] -= ((zero_points[k] & mask) ^ half) - half
