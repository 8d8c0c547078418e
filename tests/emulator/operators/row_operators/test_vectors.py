"""The contract's vectors of the row operators, and the program that made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator.operators.row_operators import layer_norm, rms_norm, softmax
from emulator.operators.row_operators.normalize import reciprocal_root
from emulator.operators.row_operators.softmax import row_multiplier
from tests.contract_vectors import load_vectors
from tests.row_cases import row_cases
from tools.row_vectors import vector


def test_softmax() -> None:
    for case in row_cases("softmax"):
        y = softmax(case.x[None], case.parameters, case.arithmetic, case.mask)
        assert y.dtype == np.int8
        assert_array_equal(y[0], case.y, err_msg=str(case.vector))
        multiplier, shift = row_multiplier(np.array([case.vector["sum"]]), case.parameters, case.arithmetic)
        assert (multiplier.item(), shift.item()) == (case.vector["multiplier"], case.vector["shift"]), case.vector


@pytest.mark.parametrize(("name", "normalize"), [("layer_norm", layer_norm), ("rms_norm", rms_norm)])
def test_normalization(name: str, normalize: Callable[..., Any]) -> None:
    for case in row_cases(name):
        y = normalize(case.x[None], case.parameters, case.arithmetic)
        assert y.dtype == np.int8
        assert_array_equal(y[0], case.y, err_msg=str(case.vector))
        for field, integers in case.vector.get("integers", {}).items():
            expected = np.repeat(integers, case.vector.get("counts", 1)) if isinstance(integers, list) else integers
            assert_array_equal(getattr(case.parameters, field), expected, err_msg=field)
        values = case.x.astype(np.int64) - case.vector["x_zero_point"]
        total = values.sum() if name == "layer_norm" else 0
        spread = np.array([len(values) * (values**2).sum() - total**2])
        root, exponent = reciprocal_root(spread, case.parameters.epsilon)
        assert (root.item(), exponent.item()) == (case.vector["root"], case.vector["exponent"]), case.vector


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "rms_norm"])
def test_the_program_still_makes_them(name: str) -> None:
    vectors = load_vectors(name)
    for index in range(0, len(vectors), 25):
        assert vector(name, index) == vectors[index], index


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "rms_norm"])
def test_they_reach_what_matters(name: str) -> None:
    cases = row_cases(name)
    assert {len(case.x) for case in cases} >= {1, 2, 3, 16, 768, 1024, 4096}
    assert {case.arithmetic.activation_bits for case in cases} == set(range(2, 9))
    assert len({case.arithmetic.rounding for case in cases}) == 6
    between = sum(bool(((case.y > case.vector["y_min"]) & (case.y < case.vector["y_max"])).any()) for case in cases)
    assert between > 500
    if name == "softmax":
        masked = [case.mask for case in cases if case.mask is not None]
        assert any(not mask.any() for mask in masked) and sum(bool(mask.any()) for mask in masked) > 200
    else:
        gammas = np.concatenate([case.parameters.gamma for case in cases])
        assert (gammas < 0).any() and (gammas == 0).any()
        assert any(case.vector["root"] == 0 for case in cases)
