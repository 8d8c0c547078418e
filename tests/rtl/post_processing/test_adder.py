"""The RTL adder replays the contract's vectors, and agrees with exact fractions on random codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from emulator.timing import adder_latency
from rtl.post_processing.adder import Adder
from rtl.post_processing.rescaled_adder import RescaledAdder
from tests import oracle
from tests.contract_vectors import group_by, load_vectors
from tests.rtl import side_by_side

SETTINGS = (
    "a_multiplier", "b_multiplier", "shift", "a_zero_point", "b_zero_point", "zero_point", "y_min", "y_max", "subtract",
)  # fmt: skip
RESCALED = ("multiplier", "a_shift", "b_shift")


def pack(adder: Adder | RescaledAdder, vectors: Sequence[dict[str, Any]]) -> list[int]:
    """The settings as integers."""
    layout = adder.settings.shape()
    names = (*SETTINGS, *RESCALED) if isinstance(adder, RescaledAdder) else SETTINGS
    return [layout.const({name: int(vector.get(name, 0)) for name in names}).as_value().value for vector in vectors]


def play(cases: Sequence[tuple[Arithmetic, list[dict[str, Any]]]], simulator: str) -> list[list[tuple[int, int]]]:
    """(result, clipped) of every vector of every case; settings are constant while codes are on their way."""
    components = [
        RescaledAdder(arithmetic) if arithmetic.adder == "rescaled" else Adder(arithmetic) for arithmetic, _ in cases
    ]
    holds = [adder_latency(arithmetic) + 1 for arithmetic, _ in cases]
    stimuli = []
    for adder, (_, vectors), hold in zip(components, cases, holds, strict=True):
        columns = {name: [v[name] for v in vectors] for name in ("a", "b")}
        columns |= {"b_valid": [v.get("b_valid", 1) for v in vectors], "settings": pack(adder, vectors)}
        stimuli.append({name: np.repeat(np.array(values, object), hold) for name, values in columns.items()})
    played = side_by_side.play(components, stimuli, simulator)
    return [
        list(zip(out["result"][hold - 1 :: hold].tolist(), out["clipped"][hold - 1 :: hold].tolist(), strict=True))
        for out, hold in zip(played, holds, strict=True)
    ]


def expected(vector: dict[str, Any], arithmetic: Arithmetic) -> tuple[int, bool]:
    """(code, clipped) from the contract's sentence."""
    sign, rounding = -1 if vector.get("subtract") else 1, (arithmetic.rounding, arithmetic.multiplier_bits)
    a, b = (
        (vector[side], vector[f"{side}_zero_point"], vector[f"{side}_multiplier"], vector.get(f"{side}_shift", 0))
        for side in "ab"
    )
    if arithmetic.adder == "rescaled":
        terms = [oracle.rescaled_operand(*operand, *rounding) for operand in (a, b)]
    else:
        terms = [(code - zero_point) * multiplier for code, zero_point, multiplier, _ in (a, b)]
    total = terms[0] + (sign * terms[1] if vector.get("b_valid", 1) else 0)
    rest = (vector[name] for name in ("shift", "zero_point", "y_min", "y_max"))
    widths = arithmetic.activation_bits, arithmetic.multiplier_bits
    return oracle.requantize(total, vector.get("multiplier", 1), *rest, arithmetic.rounding, *widths)


def test_contract_vectors(simulator: str) -> None:
    groups = group_by(load_vectors("add"), "rounding")
    cases = [(Arithmetic(rounding=rounding), vectors) for (rounding,), vectors in groups.items()]
    assert sum(len(vectors) for _, vectors in cases) == 500
    cases.append((Arithmetic.tflm(), load_vectors("add_rescaled")))
    assert len(cases[-1][1]) == 600
    for (arithmetic, vectors), results in zip(cases, play(cases, simulator), strict=True):
        for vector, result in zip(vectors, results, strict=True):
            assert result[0] == vector["y"], (arithmetic, vector)
            assert result == expected(vector, arithmetic), (arithmetic, vector)


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
        if arithmetic.adder == "rescaled":
            vector |= rescaled_factors(rng, min(bits, arithmetic.multiplier_bits))
        vectors.append(vector)
    return vectors


def rescaled_factors(rng: np.random.Generator, bits: int) -> dict[str, int]:
    """Terms of at most half of 255 · 2^20, or ones so small that the code shows their last bit."""
    fine, factors = rng.random() < 0.5, {}
    for side in "ab":
        factors[f"{side}_multiplier"] = factor = int(rng.integers(1 << int(rng.integers(1, bits + 1))))
        factors[f"{side}_shift"] = factor.bit_length() + (
            19 + int(rng.integers(5)) if fine else int(rng.integers(1, 8))
        )
    factors["multiplier"] = 1 << int(rng.integers(bits)) if fine else int(rng.integers(1 << bits))
    places = factors["multiplier"].bit_length() - 1
    return factors | {"shift": min(max(places + (0 if fine else int(rng.integers(16, 25))), 0), 62)}


def test_random_codes() -> None:
    """Every rounding, subtraction, absent operands, multipliers of one and of two digits, narrow codes, both adders."""
    rng = np.random.default_rng(7)
    arithmetics = [
        Arithmetic(rounding=rounding, multiplier_bits=bits, activation_bits=codes)
        for rounding, bits, codes in zip(ROUNDINGS, (31, 17, 18, 1, 24, 20), (8, 8, 4, 5, 8, 8), strict=True)
    ]
    arithmetics += [
        replace(arithmetic, adder="rescaled", multiplier_bits=bits)
        for arithmetic, bits in zip(arithmetics, (12, 31, 17, 24, 1, 18), strict=True)
    ]
    cases = [(arithmetic, random_vectors(rng, arithmetic, 300)) for arithmetic in arithmetics]
    clips = 0
    for (arithmetic, vectors), results in zip(cases, play(cases, "verilator"), strict=True):
        for vector, result in zip(vectors, results, strict=True):
            assert result == expected(vector, arithmetic), (arithmetic, vector)
            clips += result[1]
    assert 100 < clips < 3400
