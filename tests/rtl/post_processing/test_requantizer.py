"""The RTL requantizer replays the contract's vectors: every parametrization side by side, one build per simulator."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emulator import Arithmetic
from emulator.timing import REQUANTIZER_LATENCY
from rtl.post_processing.requantizer import Requantizer
from rtl.simulation.vectors import Component
from tests import oracle
from tests.contract_vectors import group_by, load_vectors
from tests.rtl import side_by_side

HOLD = REQUANTIZER_LATENCY + 1
"""Cycles that a vector stays: its parameters must be constant while its operand is on its way."""
FIELDS = ("multiplier", "shift", "zero_point", "y_min", "y_max")


Case = tuple[Arithmetic, list[dict[str, Any]]]


def play(cases: Sequence[Case], simulator: str, top: Component | None = None) -> list[list[tuple[int, int]]]:
    """(result, clipped) of every vector of every case; `top`: the requantizers of these cases, if they are there."""
    components = [Requantizer(arithmetic) for arithmetic, _ in cases] if top is None else top
    stimuli = []
    for _, vectors in cases:
        columns = {name: np.repeat([v[name] for v in vectors], HOLD) for name in FIELDS}
        stimuli.append(columns | {"operand": np.repeat([v["acc"] for v in vectors], HOLD)})
    played = side_by_side.play(components, stimuli, simulator)
    return [
        list(zip(out["result"][HOLD - 1 :: HOLD].tolist(), out["clipped"][HOLD - 1 :: HOLD].tolist(), strict=True))
        for out in played
    ]


COUNTS = {"requantize": 2500, "requantize_double": 1200, "requantize_near_ties": 4236}
"""Vectors of each file."""


def contract_cases() -> list[Case]:
    """The vectors by the requantizers that there are: those of less than 24 bits take 24 (contract, section 4)."""
    vectors = [v | {"bits": max(v["accumulator_bits"], 24)} for name in COUNTS for v in load_vectors(name)]
    return [
        (Arithmetic(accumulator_bits=bits, multiplier_bits=multiplier, rounding=rounding), some)
        for (bits, multiplier, rounding), some in group_by(vectors, "bits", "multiplier_bits", "rounding").items()
    ]


@functools.cache
def contract_top() -> Component:
    """Both simulators play the same Verilog."""
    return side_by_side.converted([Requantizer(arithmetic) for arithmetic, _ in contract_cases()])


def test_contract_vectors(simulator: str) -> None:
    cases = contract_cases()
    assert sum(len(vectors) for _, vectors in cases) == sum(COUNTS.values())
    compared = clips = 0
    for (arithmetic, vectors), results in zip(cases, play(cases, simulator, contract_top()), strict=True):
        for vector, (result, clipped) in zip(vectors, results, strict=True):
            assert result == vector["y"], (arithmetic, vector)
            operands = (vector[name] for name in ("acc", *FIELDS))
            rest = arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits
            assert (result, clipped) == oracle.requantize(*operands, *rest), (arithmetic, vector)
            compared += 1
            clips += clipped
    assert compared == sum(COUNTS.values()) and 200 < clips < 5000


def test_another_rounding_is_noticed() -> None:
    """The comparison above can fail: another rounding in the hardware gives other codes for the same vectors."""
    cases = contract_cases()
    pairs = [("half_even", 24, "toward_zero"), ("double", 32, "half_up"), ("double", 24, "half_away")]
    wrong = []
    for rounding, bits, other in pairs:
        arithmetic, vectors = next(c for c in cases if (c[0].rounding, c[0].accumulator_bits) == (rounding, bits))
        wrong.append((replace(arithmetic, rounding=other), vectors))
    for (_, vectors), results in zip(wrong, play(wrong, "verilator"), strict=True):
        assert any(result != v["y"] for (result, _), v in zip(results, vectors, strict=True))


def test_every_bit_of_the_fraction_counts() -> None:
    """Operands that are one single bit away from a tie or an integer: the codes of plain fractions, bit by bit."""
    cases = []
    for rounding in ("half_even", "half_away", "toward_zero", "double"):
        arithmetic = Arithmetic(accumulator_bits=32, multiplier_bits=24, rounding=rounding)
        vectors = [
            {"acc": sign * ((odd << shift - 1) + (1 << place) * step), "multiplier": 1, "shift": shift, "zero_point": 0,
             "y_min": -128, "y_max": 127}
            for shift in range(1, 31) for place in range(shift) for odd in (1, 2) for sign in (1, -1)
            for step in (1, -1)
        ]  # fmt: skip
        cases.append((arithmetic, [v for v in vectors if -(1 << 31) <= v["acc"] < 1 << 31]))
    for (arithmetic, vectors), results in zip(cases, play(cases, "verilator"), strict=True):
        for vector, result in zip(vectors, results, strict=True):
            operands = (vector[name] for name in ("acc", *FIELDS))
            assert result == oracle.requantize(*operands, arithmetic.rounding, 8, 24), (arithmetic, vector)


def test_one_result_per_cycle(simulator: str) -> None:
    """Operands back to back, parameters constant: the result of each comes `REQUANTIZER_LATENCY` cycles later."""
    arithmetic = Arithmetic(accumulator_bits=20, multiplier_bits=16, rounding="half_away")
    operands = np.random.default_rng(3).integers(-(1 << 23), 1 << 23, 200)
    fixed = {"multiplier": 40503, "shift": 31, "zero_point": -3, "y_min": -100, "y_max": 90}
    length = len(operands) + REQUANTIZER_LATENCY
    stimulus = {name: np.full(length, value) for name, value in fixed.items()}
    stimulus["operand"] = np.pad(operands, (0, REQUANTIZER_LATENCY))
    (out,) = side_by_side.play([Requantizer(arithmetic)], [stimulus], simulator)
    expected = [oracle.requantize(int(acc), *fixed.values(), "half_away") for acc in operands]
    results = zip(out["result"][REQUANTIZER_LATENCY:], out["clipped"][REQUANTIZER_LATENCY:], strict=True)
    assert list(results) == expected
    assert any(clipped for _, clipped in expected) and len({code for code, _ in expected}) > 50
