"""One step of the contract at a time, in Python's integers, with its words: what a page shows of an element."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from emulator.arithmetic import Arithmetic


@dataclass(frozen=True)
class Step:
    """One line of a calculation: what is computed, in symbols and numbers, and the result.

    quotient : where it rounds, the exact number in front of the rounding
    """

    what: str
    value: int
    quotient: Fraction | None = None


def stored_sum(value: int, arithmetic: Arithmetic) -> tuple[int, bool]:
    """A partial sum as the accumulator holds it, and whether it left the accumulator's range (contract, section 2)."""
    half = 1 << (arithmetic.accumulator_bits - 1)
    if -half <= value < half:
        return value, False
    if arithmetic.overflow == "wrap":
        return (value + half) % (2 * half) - half, True
    return min(max(value, -half), half - 1), True


def rounded(product: int, shift: int, arithmetic: Arithmetic) -> int:
    """``round(product / 2^shift)`` in the arithmetic's rounding (contract, sections 3 and 10)."""
    rounding = arithmetic.rounding
    if shift == 0:
        return product
    if rounding == "double":
        bits = arithmetic.multiplier_bits
        nudge = 0 if shift <= bits else 1 << (bits - 1) if product >= 0 else -(1 << (bits - 1))
        return (product + (1 << (shift - 1)) + nudge) >> shift
    below, rest = product >> shift, product & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    if rounding == "floor":
        return below
    if rounding == "toward_zero":
        return below + (below < 0 and rest != 0)
    if rest != half:
        return below + (rest > half)
    ties = {"half_even": below & 1, "half_up": 1, "half_away": int(below >= 0)}
    return below + ties[rounding]


def requantization(
    acc: int, multiplier: int, shift: int, zero_point: int, y_min: int, y_max: int, arithmetic: Arithmetic
) -> list[Step]:
    """The steps from a sum to a code; the last one's value is the code."""
    product = acc * multiplier
    return [Step(f"{acc} · {multiplier}", product), *_to_code(product, shift, zero_point, y_min, y_max, arithmetic)]


def _to_code(product: int, shift: int, zero_point: int, y_min: int, y_max: int, arithmetic: Arithmetic) -> list[Step]:
    below, rest = product >> shift, product & ((1 << shift) - 1)
    value = rounded(product, shift, arithmetic)
    tie = ", a tie" if shift and rest == 1 << (shift - 1) else ""
    quotient = f"{product} / 2^{shift} = {below} + {rest}/2^{shift}{tie}, rounded {arithmetic.rounding}"
    code = min(max(value + zero_point, y_min), y_max)
    return [
        Step(quotient, value, Fraction(product, 1 << shift)),
        Step(f"{value} + zero point {zero_point}", value + zero_point),
        Step(f"clamp to {y_min} … {y_max}", code),
    ]


def shared_shift_sum(
    terms: tuple[int, int], shift: int, zero_point: int, y_min: int, y_max: int, arithmetic: Arithmetic
) -> list[Step]:
    """The residual adder of section 4, from its two products on."""
    total = sum(terms)
    return [
        Step(f"{terms[0]} + {terms[1]}", total),
        *_to_code(total, shift, zero_point, y_min, y_max, arithmetic),
    ]


def half_away_mean(total: int, count: int) -> int:
    """``total / count``, half away from zero (contract, section 11)."""
    magnitude = (2 * abs(total) + count) // (2 * count)
    return magnitude if total >= 0 else -magnitude
