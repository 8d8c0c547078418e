"""The surrogate gradients: straight through inside a clamp, zero outside, directional where a sum overflowed."""

from __future__ import annotations

import torch

from qat.integers.straight_through import saturated, straight_through, wrapped


def gradient(function: object, first: list[float], second: list[float], outer: list[float]) -> tuple[list[float], ...]:
    left = torch.tensor(first, requires_grad=True)
    result = function(left, torch.tensor(second))  # type: ignore[operator]
    result.backward(torch.tensor(outer))
    return result.tolist(), left.grad.tolist()


def test_the_value_passes_and_the_gradient_goes_to_the_surrogate() -> None:
    assert gradient(straight_through, [0.4, 1.6], [0.0, 2.0], [3.0, -5.0]) == ([0.0, 2.0], [3.0, -5.0])


def test_outside_the_gradient_is_zero() -> None:
    surrogate = torch.tensor([0.4, 9.0], requires_grad=True)
    straight_through(surrogate, torch.tensor([0.0, 7.0]), torch.tensor([True, False])).sum().backward()
    assert surrogate.grad is not None and surrogate.grad.tolist() == [1.0, 0.0]


def test_a_saturated_sum_keeps_only_the_gradient_that_pulls_it_back() -> None:
    # A step goes against the gradient: above the range a positive one pulls back, below it a negative one.
    ideal, actual = [200.0, 200.0, -300.0, -300.0, 50.0, 50.0], [127.0, 127.0, -128.0, -128.0, 50.0, 50.0]
    outer = [2.0, -2.0, 2.0, -2.0, 2.0, -2.0]
    assert gradient(saturated, ideal, actual, outer) == (actual, [2.0, 0.0, 0.0, -2.0, 2.0, -2.0])


def test_a_wrapped_sum_is_pulled_back_whatever_the_gradients_sign() -> None:
    ideal, actual = [200.0, 200.0, -300.0, -300.0, 50.0, 50.0], [-56.0, -56.0, -44.0, -44.0, 50.0, 50.0]
    outer = [2.0, -2.0, 2.0, -2.0, 2.0, -2.0]
    assert gradient(wrapped, ideal, actual, outer) == (actual, [2.0, 2.0, -2.0, -2.0, 2.0, -2.0])
