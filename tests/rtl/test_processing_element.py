"""A column of processing elements replays the contract's dot products, sums carried from K-tile to K-tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator import Arithmetic
from rtl.processing_element import ProcessingElement
from tests.contract_vectors import group_by, load_vectors
from tests.rtl import side_by_side

ROWS = 4
TILE_CYCLES = ROWS + 1


class Column(wiring.Component):
    """`ROWS` elements on top of each other, and a register that carries a sum from one tile to the next."""

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
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
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held, flag = Signal.like(self.sum), Signal()
        total, overflowed = Mux(self.carry, held, self.bias), self.carry & flag
        for row in range(ROWS):
            element = m.submodules[f"element_{row}"] = ProcessingElement(self.arithmetic)
            m.d.comb += [
                element.x.eq(self.x[row]),
                element.swap.eq(self.swap[row]),
                element.load.eq(self.load[row]),
                element.weight.eq(self.weight),
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

    A tile's weights enter from `base` on, one row a cycle, while the tile before still computes; its operands follow a
    cycle later; row 0 needs the sum two cycles after that.
    """
    tiles = [-(-len(v["x"]) // ROWS) for v in vectors]
    length = sum(tiles) * TILE_CYCLES + 2 * ROWS + 4
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
                    made[f"x__{row}"][base + 1 + row] = vector["x"][k] - vector["x_zero_point"]
                k += 1
            made["bias"][base + 3] = vector["bias"]
            made["carry"][base + 3] = tile > 0
            made["capture"][base + 3 + ROWS] = 1
            base += TILE_CYCLES
        ends.append(base - TILE_CYCLES + 3 + ROWS)
    return made, ends


def test_contract_vectors(simulator: str) -> None:
    """Every width and both overflow modes, side by side in one top."""
    fields = ("activation_bits", "weight_bits", "accumulator_bits", "overflow")
    groups = group_by(load_vectors("accumulate"), *fields)
    cases = [Arithmetic(**dict(zip(fields, values, strict=True))) for values in groups]
    components = [Column(arithmetic) for arithmetic in cases]
    stimuli, ends = zip(*(stimulus(vectors) for vectors in groups.values()), strict=True)
    compared = overflows = 0
    for arithmetic, vectors, out, cycles in zip(
        cases, groups.values(), side_by_side.play(components, stimuli, simulator), ends, strict=True
    ):
        for vector, cycle in zip(vectors, cycles, strict=True):
            assert out["sum"][cycle] == vector["acc"], (arithmetic, vector)
            assert out["overflowed"][cycle] == vector["overflowed"], (arithmetic, vector)
            compared += 1
            overflows += vector["overflowed"]
    assert (compared, overflows) == (500, 194)


def test_overflow_twenty_bits_thirty_two_rows() -> None:
    """Contract, section 6: (−128)·(−128) summed over 32 rows leaves 20 bits, and the flag says so in either mode."""
    vector = {"x": [-128] * 32, "w": [-128] * 32, "bias": 0, "x_zero_point": 0}
    cases = [Arithmetic(accumulator_bits=20, overflow=mode) for mode in ("saturate", "wrap")]
    components = [Column(arithmetic) for arithmetic in cases]
    inputs, (end,) = stimulus([vector])
    saturated, wrapped = side_by_side.play(components, [inputs, inputs])
    assert (saturated["sum"][end], saturated["overflowed"][end]) == (2**19 - 1, 1)
    assert (wrapped["sum"][end], wrapped["overflowed"][end]) == (32 * 2**14 - 2**20, 1)
