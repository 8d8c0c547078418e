"""The RTL adder replays the contract's vectors, and agrees with exact fractions on random codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from emulator.timing import ADDER_LATENCY
from rtl.adder import Adder
from tests import oracle
from tests.contract_vectors import group_by, load_vectors
from tests.rtl import side_by_side

HOLD = ADDER_LATENCY + 1
"""Cycles that a vector stays: its settings must be constant while its codes are on their way."""
SETTINGS = (
    "a_multiplier", "b_multiplier", "shift", "a_zero_point", "b_zero_point", "zero_point", "y_min", "y_max", "subtract",
)  # fmt: skip


def pack(adder: Adder, vectors: Sequence[dict[str, Any]]) -> list[int]:
    """The settings as integers."""
    layout = adder.settings.shape()
    return [layout.const({name: int(vector.get(name, 0)) for name in SETTINGS}).as_value().value for vector in vectors]


def play(cases: Sequence[tuple[Arithmetic, list[dict[str, Any]]]], simulator: str) -> list[list[tuple[int, int]]]:
    """(result, clipped) of every vector of every case."""
    components = [Adder(arithmetic) for arithmetic, _ in cases]
    stimuli = []
    for adder, (_, vectors) in zip(components, cases, strict=True):
        columns = {name: [v[name] for v in vectors] for name in ("a", "b")}
        columns |= {"b_valid": [v.get("b_valid", 1) for v in vectors], "settings": pack(adder, vectors)}
        stimuli.append({name: np.repeat(np.array(values, object), HOLD) for name, values in columns.items()})
    played = side_by_side.play(components, stimuli, simulator)
    return [
        list(zip(out["result"][HOLD - 1 :: HOLD].tolist(), out["clipped"][HOLD - 1 :: HOLD].tolist(), strict=True))
        for out in played
    ]


def expected(vector: dict[str, Any], rounding: str, activation_bits: int = 8) -> tuple[int, bool]:
    """(code, clipped) from the contract's sentence."""
    sign = -1 if vector.get("subtract") else 1
    terms = (vector["a"] - vector["a_zero_point"]) * vector["a_multiplier"]
    if vector.get("b_valid", 1):
        terms += sign * (vector["b"] - vector["b_zero_point"]) * vector["b_multiplier"]
    rest = (vector[name] for name in ("shift", "zero_point", "y_min", "y_max"))
    return oracle.requantize(terms, 1, *rest, rounding, activation_bits)


def test_contract_vectors(simulator: str) -> None:
    groups = group_by(load_vectors("add"), "rounding")
    cases = [(Arithmetic(rounding=rounding), vectors) for (rounding,), vectors in groups.items()]
    assert sum(len(vectors) for _, vectors in cases) == 500
    for (arithmetic, vectors), results in zip(cases, play(cases, simulator), strict=True):
        for vector, result in zip(vectors, results, strict=True):
            assert result[0] == vector["y"], (arithmetic, vector)
            assert result == expected(vector, arithmetic.rounding), (arithmetic, vector)


def random_vectors(rng: np.random.Generator, arithmetic: Arithmetic, count: int) -> list[dict[str, Any]]:
    """Vectors whose shifts and multipliers reach all their bits."""
    vectors = []
    for _ in range(count):
        bits = int(rng.integers(1, arithmetic.adder_multiplier_bits + 1))
        vector = {name: int(rng.integers(1 << bits)) for name in ("a_multiplier", "b_multiplier")}
        vector["shift"] = int(rng.integers(63)) if rng.random() < 0.3 else min(bits + int(rng.integers(4)), 62)
        for name in ("a", "b", "a_zero_point", "b_zero_point", "zero_point"):
            vector[name] = int(rng.integers(-128, 128))
        low, high = sorted(int(code) for code in rng.integers(-128, 128, 2))
        vector |= {"y_min": low, "y_max": high, "subtract": int(rng.integers(2)), "b_valid": int(rng.random() < 0.9)}
        vectors.append(vector)
    return vectors


def test_random_codes() -> None:
    """Every rounding, subtraction, absent operands, multipliers of one and of two digits, narrow codes."""
    rng = np.random.default_rng(7)
    arithmetics = [
        Arithmetic(rounding=rounding, multiplier_bits=bits, activation_bits=codes)
        for rounding, bits, codes in zip(ROUNDINGS, (31, 17, 18, 1, 24), (8, 8, 4, 5, 8), strict=True)
    ]
    cases = [(arithmetic, random_vectors(rng, arithmetic, 300)) for arithmetic in arithmetics]
    clips = 0
    for (arithmetic, vectors), results in zip(cases, play(cases, "verilator"), strict=True):
        for vector, result in zip(vectors, results, strict=True):
            assert result == expected(vector, arithmetic.rounding, arithmetic.activation_bits), (arithmetic, vector)
            clips += result[1]
    assert 100 < clips < 1400
