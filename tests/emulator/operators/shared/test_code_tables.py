"""Tables over codes and over pairs of codes give what the function gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import Arithmetic, lookup, product, rescale, rescaled_add, rescaled_subtract
from emulator.operators.shared import code_tables
from tests import oracle
from tests.emulator.strategies import codes

NARROW = Arithmetic(activation_bits=5)
WIDE = Arithmetic(rounding="half_away", multiplier_bits=31)


@pytest.mark.parametrize("shapes", [((3, 7, 9), (3, 7, 9)), ((3, 1, 9), (1, 7, 1)), ((0, 4), (1, 4))])
@pytest.mark.parametrize("arithmetic", [NARROW, WIDE])
def test_pairs_of_codes(shapes: Any, arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more elements than pairs each operator is computed once for each pair: the codes are the same."""
    low, high = arithmetic.activation_range
    a, b = codes(1, shapes[0], (low, high)), codes(2, shapes[1], (low, high))
    factor = 1 << (arithmetic.multiplier_bits - 1)
    output = 3, low + 2, high - 1, arithmetic
    final = factor, arithmetic.multiplier_bits + 19, *output
    scaled = a, -4, factor, arithmetic.multiplier_bits, b, 5, factor // 3, arithmetic.multiplier_bits
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (product, (a, -7, b, 9, factor, arithmetic.multiplier_bits + 4, *output)),
        (rescaled_add, (*scaled, *final)),
        (rescaled_subtract, (*scaled, *final)),
    ]
    for operator, arguments in calls:
        plain = operator(*arguments)
        with monkeypatch.context() as context:
            context.setattr(code_tables, "PAIRS_PAY", 0)
            context.setattr(code_tables, "BLOCK", 50)
            found = operator(*arguments)
        assert found.dtype == np.int8
        assert_array_equal(found, plain)
        assert plain.size == 0 or len(np.unique(plain)) > 5


@pytest.mark.parametrize("arithmetic", [NARROW, WIDE])
def test_one_code(arithmetic: Arithmetic) -> None:
    low, high = arithmetic.activation_range
    x = codes(3, (4, 5, 6), (low, high))
    table = codes(4, (high - low + 1,), (low, high))
    assert lookup(x, table, arithmetic).tolist() == [[[int(table[v - low]) for v in r] for r in m] for m in x.tolist()]
    assert_array_equal(lookup(x[:, ::2, ::-1], table, arithmetic), lookup(x, table, arithmetic)[:, ::2, ::-1])
    assert lookup(x[:0], table, arithmetic).shape == (0, 5, 6)
    factor, shift = (1 << arithmetic.multiplier_bits) - 3, arithmetic.multiplier_bits + 1
    found = rescale(x, 5, factor, shift, -2, low + 1, high, arithmetic)
    clamp = -2, low + 1, high, arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits
    assert found.ravel().tolist() == [oracle.requantize(v - 5, factor, shift, *clamp)[0] for v in x.ravel().tolist()]
    found[0, 0, 0] = 1  # a new array, which may be written
