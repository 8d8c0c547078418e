"""CONVOLVE's registers in both dataflows, and what its parts have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...instructions import WEIGHT_ZERO_POINT_ROW, Unit
from ..compiled import compiled
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
    for k in range(sums.shape[0]):
        to_sums[k] = sums[k]
    for k in range(sums.shape[0]):
        to_flags[k] = flags[k]


@compiled
def read_operands(s: State, at: int) -> None:
    """The operands of position `at`: codes minus the zero point, 0 where padding."""
    c, v = s.config[0], s.convolve
    e, x = v.line[at], v.operands[at]
    if not e.inside:
        for k in range(x.shape[0]):
            x[k] = 0
        return
    codes, spare = s.activation[e.address], 8 - c.activation_bits
    zero_point = extend(e.zero_point, c.activation_bits)
    for k in range(x.shape[0]):
        x[k] = (np.int8(codes[k] << spare) >> spare) - zero_point


@compiled
def read_weights(s: State, address: int, tile: int, row: int, entry: int) -> None:
    """A weight row, for array row `row`, minus the zero points of a parameter entry where the config has them."""
    v = s.convolve
    codes, spare, weights, across = s.weight[address], 8 - s.config[0].weight_bits, v.weights, v.across
    for k in range(codes.shape[0]):
        weights[tile, row, k] = np.int8(codes[k] << spare) >> spare
    if s.config[0].weight_zero_points:
        zero_points = s.parameters[entry, WEIGHT_ZERO_POINT_ROW]
        for k in range(codes.shape[0]):
            weights[tile, row, k] -= np.int8(zero_points[k] << spare) >> spare
    for k in range(codes.shape[0]):
        across[tile, k, row] = weights[tile, row, k]
