"""A column of processing elements replays the contract's dot products, sums carried from K-tile to K-tile; with weights
that have zero points, behind a weight lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator import Arithmetic
from rtl.array.processing_element import ProcessingElement
from rtl.array.weight_lane import WeightLane
from rtl.control import PARAMETER_WRITE
from tests.contract_vectors import group_by, load_vectors
from tests.rtl import side_by_side

ROWS = 4
TILE_CYCLES = ROWS + 1


class Column(wiring.Component):
    """`ROWS` elements on top of each other, and a register that carries a sum from one tile to the next.

    zero_points : whether a weight lane subtracts weights' zero points
    """

    def __init__(self, arithmetic: Arithmetic, zero_points: bool = False):
        self.arithmetic, self.zero_points = arithmetic, zero_points
        total = signed(arithmetic.accumulator_bits)
        super().__init__(
            {
                "x": In(signed(arithmetic.activation_bits + 1)).array(ROWS),
                "swap": In(1).array(ROWS),
                "load": In(1).array(ROWS),
                "weight": In(signed(arithmetic.weight_bits)),
                "bias": In(total),
                "carry": In(1),
                "capture": In(1),
                "sum": Out(total),
                "overflowed": Out(1),
                **({"parameter_write": In(PARAMETER_WRITE), "entry": In(4)} if zero_points else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held, flag = Signal.like(self.sum), Signal()
        total, overflowed = Mux(self.carry, held, self.bias), self.carry & flag
        weight, bits = self.weight, self.arithmetic.weight_bits
        if self.zero_points:
            m.submodules.lane = lane = WeightLane(self.arithmetic)
            m.d.comb += [
                lane.parameter_write.eq(self.parameter_write),
                lane.entry.eq(self.entry),
                lane.code.eq(self.weight),
            ]
            weight, bits = lane.weight, bits + 1
        for row in range(ROWS):
            element = m.submodules[f"element_{row}"] = ProcessingElement(self.arithmetic, bits)
            m.d.comb += [
                element.x.eq(self.x[row]),
                element.swap.eq(self.swap[row]),
                element.load.eq(self.load[row]),
                element.weight.eq(weight),
                element.sum_in.eq(total),
                element.overflowed_in.eq(overflowed),
            ]
            total, overflowed = element.sum_out, element.overflowed_out
        m.d.comb += [self.sum.eq(total), self.overflowed.eq(overflowed)]
        with m.If(self.capture):
            m.d.sync += [held.eq(total), flag.eq(overflowed)]
        return m


def stimulus(vectors: list[dict[str, Any]]) -> tuple[dict[str, np.ndarray], list[int]]:
    """Inputs per cycle, and the cycle in which each vector's sum leaves the column.

    A tile's weights enter from `base` on, one row a cycle, while the tile before still computes; its operands follow
    two cycles later; row 0 needs the sum two cycles after that.
    """
    tiles = [-(-len(v["x"]) // ROWS) for v in vectors]
    length = sum(tiles) * TILE_CYCLES + 2 * ROWS + 5
    names = [f"{kind}__{row}" for kind in ("x", "swap", "load") for row in range(ROWS)]
    made = {name: np.zeros(length, np.int64) for name in (*names, "weight", "bias", "carry", "capture")}
    base, ends = 0, []
    for vector, count in zip(vectors, tiles, strict=True):
        k = 0
        for tile in range(count):
            for row in range(ROWS):
                made[f"load__{row}"][base + row] = 1
                made[f"swap__{row}"][base + 1 + row] = 1
                if k < len(vector["x"]):
                    made["weight"][base + row] = vector["w"][k]
                    made[f"x__{row}"][base + 2 + row] = vector["x"][k] - vector["x_zero_point"]
                k += 1
            made["bias"][base + 4] = vector["bias"]
            made["carry"][base + 4] = tile > 0
            made["capture"][base + 4 + ROWS] = 1
            base += TILE_CYCLES
        ends.append(base - TILE_CYCLES + 4 + ROWS)
    return made, ends


WRITES = 16
"""Cycles that write a zero point, before anything else."""


def with_zero_points(vectors: list[dict[str, Any]]) -> tuple[dict[str, np.ndarray], list[int]]:
    """`stimulus`, with each vector's zero point in an entry of its own, seldom the one before.

    Vectors come in rounds of at most 16, whose zero points are written first.
    """
    parts, ends, length = [], [], 0
    for first in range(0, len(vectors), 16):
        some = vectors[first : first + 16]
        inputs, last = stimulus(some)
        count = len(inputs["weight"])
        entry, begin = np.zeros(count, np.int64), 0
        for index, vector in enumerate(some):
            cycles = -(-len(vector["x"]) // ROWS) * TILE_CYCLES
            entry[begin : begin + cycles] = index * 7 % 16
            begin += cycles
        made = {name: np.pad(values, (WRITES + 2, 0)) for name, values in inputs.items()}
        made["entry"] = np.pad(entry, (WRITES, 2))  # two cycles before the codes
        writes = [1 << 9 | index * 7 % 16 << 10 | (v["w_zero_point"] & 255) << 14 for index, v in enumerate(some)]
        made["parameter_write"] = np.pad(writes, (0, count + WRITES + 2 - len(some)))
        parts.append(made)
        ends += [length + WRITES + 2 + end for end in last]
        length += count + WRITES + 2
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, ends


@pytest.mark.parametrize(("name", "count"), [("accumulate", (500, 194)), ("accumulate_weight_zero_point", (400, 109))])
def test_contract_vectors(name: str, count: tuple[int, int], simulator: str) -> None:
    """Every width and both overflow modes, side by side in one top."""
    fields = ("activation_bits", "weight_bits", "accumulator_bits", "overflow")
    groups = group_by(load_vectors(name), *fields)
    cases = [Arithmetic(**dict(zip(fields, values, strict=True))) for values in groups]
    zero_points = "zero_point" in name
    components = [Column(arithmetic, zero_points) for arithmetic in cases]
    make = with_zero_points if zero_points else stimulus
    stimuli, ends = zip(*(make(vectors) for vectors in groups.values()), strict=True)
    compared = overflows = 0
    for arithmetic, vectors, out, cycles in zip(
        cases, groups.values(), side_by_side.play(components, stimuli, simulator), ends, strict=True
    ):
        for vector, cycle in zip(vectors, cycles, strict=True):
            assert out["sum"][cycle] == vector["acc"], (arithmetic, vector)
            assert out["overflowed"][cycle] == vector["overflowed"], (arithmetic, vector)
            compared += 1
            overflows += vector["overflowed"]
    assert (compared, overflows) == count


def test_overflow_twenty_bits_thirty_two_rows() -> None:
    """Contract, section 6: (−128)·(−128) summed over 32 rows leaves 20 bits, and the flag says so in either mode."""
    vector = {"x": [-128] * 32, "w": [-128] * 32, "bias": 0, "x_zero_point": 0}
    cases = [Arithmetic(accumulator_bits=20, overflow=mode) for mode in ("saturate", "wrap")]
    components = [Column(arithmetic) for arithmetic in cases]
    inputs, (end,) = stimulus([vector])
    saturated, wrapped = side_by_side.play(components, [inputs, inputs])
    assert (saturated["sum"][end], saturated["overflowed"][end]) == (2**19 - 1, 1)
    assert (wrapped["sum"][end], wrapped["overflowed"][end]) == (32 * 2**14 - 2**20, 1)
