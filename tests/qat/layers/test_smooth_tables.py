"""Tables made all at once against `emulator.make_table`, whose functions are Python's."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from emulator import Arithmetic, make_table
from qat.layers.expression import Expression, X
from qat.layers.tables import smooth_tables
from qat.layers.tables.smooth_tables import smooth, smooth_slope, smooth_table


@pytest.mark.parametrize("operator", ["Sigmoid", "Tanh"])
def test_tables(operator: str) -> None:
    draw, expression, arithmetic = random.Random(0), Expression(operator, (X,)), Arithmetic()
    for _ in range(60):
        x_scale, y_scale = (float(np.float32(2.0 ** draw.uniform(-9, 1))) for _ in range(2))
        zeros = draw.randint(-128, 127), draw.randint(-128, 127)
        ends = draw.choice([(-128, 127), (-5, 60)])
        given = x_scale, zeros[0], y_scale, zeros[1], *ends, arithmetic
        assert smooth(expression, y_scale)
        assert np.array_equal(smooth_table(expression, *given), make_table(expression.function(), *given))


def test_ties_are_decided_by_the_exact_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """½ is a tie under the scale 1 or ⅓·½: what NumPy has beside it must not count."""
    expression, given = Expression("Sigmoid", (X,)), (0.5, 0, 1.0, 0, -128, 127, Arithmetic())
    wrong = {"Sigmoid": lambda x: smooth_tables._sigmoid(x) + 1e-15}
    monkeypatch.setattr(smooth_tables, "FUNCTIONS", wrong)
    assert smooth_table(expression, *given)[128] == 0
    assert np.array_equal(smooth_table(expression, *given), make_table(expression.function(), *given))


def test_which_functions_are_smooth() -> None:
    tanh = Expression("Tanh", (X,))
    assert smooth(tanh, 0.1)
    assert not smooth(tanh, 1e-7)
    assert not smooth(Expression("Tanh", (tanh,)), 0.1)
    assert not smooth(Expression("Exp", (X,)), 0.1)


def test_slopes() -> None:
    x = torch.linspace(-3, 3, 13, requires_grad=True)
    for operator, function in (("Sigmoid", torch.sigmoid), ("Tanh", torch.tanh)):
        y = function(x)
        (wanted,) = torch.autograd.grad(y.sum(), x)
        assert torch.allclose(smooth_slope(Expression(operator, (X,)), y.detach()), wanted, rtol=1e-6)
    assert math.isclose(float(smooth_slope(Expression("Tanh", (X,)), torch.zeros(()))), 1.0)
