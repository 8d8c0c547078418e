"""Requantization on torch tensors: the contract's vectors through both routes, and the oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from qat.integers.requantize import requantize, rescaled_sum
from tests import oracle
from tests.emulator.strategies import many, vectors


@pytest.mark.parametrize("route", ["float64", "int64", "compiled"])
@pytest.mark.parametrize(
    ("name", "count"), [("requantize", 2500), ("requantize_double", 1200), ("requantize_near_ties", 4236)]
)
def test_vectors(name: str, count: int, route: str) -> None:
    cases = vectors(name)
    assert len(cases) == count
    taken = 0
    for case in cases:
        arithmetic = Arithmetic(multiplier_bits=case["multiplier_bits"], rounding=case["rounding"])
        bound = abs(case["acc"]) if route == "float64" else 1 << 53
        taken += bound * case["multiplier"] < 1 << 53
        elements = 2 if route == "int64" else 1  # one multiplier for all may have a compiled pass
        centered, inside = requantize(
            *(torch.tensor([case[field]] * elements) for field in ("acc", "multiplier", "shift")),
            case["zero_point"], case["y_min"], case["y_max"], arithmetic, bound,
        )  # fmt: skip
        assert (centered + case["zero_point"]).tolist() == [case["y"]] * elements, case
        assert bool(inside.all()) or case["y"] in (case["y_min"], case["y_max"])
    assert taken > count / 4 if route == "float64" else taken < count / 5


@many
@given(st.data(), st.sampled_from(ROUNDINGS), st.integers(1, 31))
def test_rounding_near_ties(data: st.DataObject, rounding: str, bits: int) -> None:
    shift = data.draw(st.integers(1, 52))
    half, step = 1 << (shift - 1), 1 << (bits - 1)
    whole = data.draw(st.integers(-200, 200))
    product = (2 * whole + 1) * half + data.draw(st.sampled_from([-1, 0, 1]))
    if shift > bits:
        product += data.draw(st.sampled_from([-step, 0, step]))
    arithmetic = Arithmetic(multiplier_bits=bits, rounding=rounding)
    expected = oracle.divide(product, shift, rounding, bits)
    for bound, elements in ((abs(product), 1), (max(abs(product), 1 << 53), 1), (1 << 60, 2)):
        operands = (torch.tensor([value] * elements) for value in (product, 1, shift))
        found, _ = requantize(*operands, 0, -1000, 1000, arithmetic, bound)
        assert found.tolist() == [expected] * elements


def test_vectors_of_the_rescaled_adder() -> None:
    cases, tflm = vectors("add_rescaled"), Arithmetic.tflm()
    assert len(cases) == 600
    for case in cases:
        a, b = (torch.tensor([case[name] - case[f"{name}_zero_point"]], dtype=torch.float32) for name in "ab")
        factors = [(case[f"{name}_multiplier"], case[f"{name}_shift"]) for name in "ab"]
        terms = rescaled_sum(a, b, *factors, tflm)
        multiplier, shift = (torch.tensor([case[name]]) for name in ("multiplier", "shift"))
        centered, _ = requantize(
            terms, multiplier, shift, case["zero_point"], case["y_min"], case["y_max"], tflm, 255 << 20
        )
        assert int(centered) + case["zero_point"] == case["y"], case
        negated = rescaled_sum(a, b, *factors, tflm, subtract=True)
        assert int(terms + negated) == 2 * int(rescaled_sum(a, 0 * b, *factors, tflm))


def test_inside_is_where_the_clamp_changes_nothing() -> None:
    one = torch.tensor([1])
    centered, inside = requantize(torch.tensor([-3, -2, 0, 4, 5]), one, one - 1, 1, -1, 5, Arithmetic(), 8)
    assert centered.tolist() == [-2, -2, 0, 4, 4]
    assert inside.tolist() == [False, True, True, True, False]
