"""Chains of steps against Python's integers, and their gradients against autograd's of the real-valued expression."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from emulator import Arithmetic
from qat.integers.chain import Chain
from qat.integers.element_steps import Cut, Lookup, Product, Range, Shaped, Sum

LOW, HIGH = -100, 90


def integers(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(-128, 128, shape, generator=generator).float().requires_grad_()


def scale(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


def rounded(numerator: int, shift: int, rounding: str) -> int:
    """``numerator / 2^shift`` as an integer."""
    exact = Fraction(numerator, 1 << shift)
    if rounding == "half_even":
        return round(exact)
    if rounding == "half_away":
        return int(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)
    return numerator >> shift


def ideal(real: Tensor, y_scale: Tensor) -> tuple[Tensor, Tensor]:
    """The real-valued codes, and where the clamp leaves them."""
    codes = real / y_scale
    return codes, (codes.detach() > LOW - 0.4) & (codes.detach() < HIGH + 0.4)


def compare(result: Tensor, expected: Tensor, inside: Tensor, leaves: list[Tensor]) -> None:
    """The gradients of `result`, and of `expected` where it is inside, to all leaves."""
    weight = torch.randn(result.shape, generator=torch.Generator().manual_seed(3))
    found = torch.autograd.grad(result, leaves, weight)
    wanted = torch.autograd.grad(expected, leaves, torch.where(inside, weight, 0).to(expected.dtype))
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b.float(), rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("rounding", ["half_even", "half_away", "floor"])
def test_product(rounding: str) -> None:
    a, b, multiplier, shift = integers(25, 7), integers(25, 7).detach().flip(0).requires_grad_(), 3, 8
    scales = scale(0.5), scale(0.375), scale(16.0)  # their ratio is 3 / 2^8
    chain = Chain()
    step = Product((0.5, 0.375, 16.0), multiplier, shift, Range(LOW, HIGH, Arithmetic(rounding=rounding)))
    (result,) = chain.close([chain.add(step, (a, b), scales)])
    pairs = zip(a.long().flatten().tolist(), b.long().flatten().tolist(), strict=True)
    assert result.flatten().tolist() == [
        min(max(rounded(x * y * multiplier, shift, rounding), LOW), HIGH) for x, y in pairs
    ]
    assert {LOW, HIGH} <= set(result.flatten().tolist())
    codes, inside = ideal((a * scales[0]).double() * (b * scales[1]).double(), scales[2])
    compare(result, codes, inside, [a, b, *scales])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("rounding", ["half_even", "half_away", "floor"])
def test_sum(sign: int, rounding: str) -> None:
    a, b = integers(6, 5), integers(6, 5).detach().flip(0).requires_grad_()
    scales = scale(0.75), scale(0.5), scale(1.0)
    chain = Chain()
    step = Sum((0.75, 0.5, 1.0), (6, sign * 4), 3, Range(LOW, HIGH, Arithmetic(rounding=rounding)))
    (result,) = chain.close([chain.add(step, (a, b), scales)])
    pairs = zip(a.long().flatten().tolist(), b.long().flatten().tolist(), strict=True)
    assert result.flatten().tolist() == [
        min(max(rounded(6 * x + sign * 4 * y, 3, rounding), LOW), HIGH) for x, y in pairs
    ]
    codes, inside = ideal((a * scales[0]).double() + sign * (b * scales[1]).double(), scales[2])
    compare(result, codes, inside, [a, b, *scales])


def test_steps_share_what_they_read() -> None:
    """Cuts of one tensor, a table read twice, an operand used by two steps: gradients add up."""
    x, first, second, third = integers(4, 3, 2), scale(0.02), scale(0.01), scale(0.125)
    every = torch.arange(-128, 128)
    squares = torch.clamp(torch.round((every * 0.02) ** 2 / 0.01), LOW, HIGH)
    free = (every * 0.02) ** 2 / 0.01 < HIGH
    slope, real = torch.where(free, 2 * every * 0.02, 0), torch.where(free, (every * 0.02) ** 2, 0)
    arrays = [part.numpy().astype(np.float32) for part in (squares, slope, real)]
    chain, parts = Chain(), []
    for index in range(3):
        cut = chain.add(Cut(1, slice(index, index + 1, 1)), (x,), ())
        flat = chain.add(Shaped((2,)), (cut,), ())
        parts.append(chain.add(Lookup((0.02, 0.01), -128, *arrays), (flat,), (first, second)))
    steps = (second, second, third)
    ends = Range(-4096, 4096, Arithmetic())
    square_of_first = chain.add(Product((0.01, 0.01, 0.125), 13, 14, ends), (parts[0], parts[0]), steps)
    *codes_of_parts, product = chain.close([*parts, square_of_first])
    rows = x.detach()[:, 0].long()
    table = squares.long()[rows + 128]
    assert torch.equal(codes_of_parts[0].detach().long(), table)
    expected = [[round(Fraction(13 * code * code, 1 << 14)) for code in row] for row in table.tolist()]
    assert product.tolist() == expected

    def square(part: Tensor) -> Tensor:
        values = (part * first) ** 2 / second
        outside = values.detach() >= HIGH
        return torch.where(outside, values.detach(), values)

    codes = [squares[x.detach()[:, index].long() + 128].float() for index in range(3)]
    looked = [square(x[:, index]) for index in range(3)]
    looked = [code + (value - value.detach()) for code, value in zip(codes, looked, strict=True)]
    wanted = (looked[0] * second) ** 2 / third + looked[1] * 2
    compare(product + codes_of_parts[1] * 2, wanted, torch.ones(4, 2, dtype=torch.bool), [x, first, second, third])


def test_what_nothing_reads_has_no_gradient() -> None:
    x, y = integers(2, 4), integers(3, 4)
    chain = Chain()
    first, _ = chain.close([chain.add(Cut(1, slice(0, 2, 1)), (source,), ()) for source in (x, y)])
    first.sum().backward()
    assert x.grad.tolist() == [[1, 1, 0, 0]] * 2
    assert y.grad is None


def test_gradients_share_no_memory_with_what_autograd_gave() -> None:
    """Autograd adds to a gradient in place: neither what was handed in nor a neighbour's may change with it."""
    x, y = integers(2, 4), integers(2, 4).detach().requires_grad_()
    chain = Chain()
    results = chain.close([chain.add(Shaped((4, 1)), (source,), ()) for source in (x, y)])
    given = torch.ones(2, 4, 1)
    torch.autograd.backward(results, [given, given])
    x.grad += 1
    assert y.grad.tolist() == [[1] * 4] * 2
    assert given.flatten().tolist() == [1] * 8


@pytest.mark.parametrize(
    ("build", "alone"),
    [(lambda x: x.double(), False), (lambda x: x[:0], False), (lambda x: x.reshape(-1, 1), True)],
    ids=["float64", "empty", "another shape"],
)
def test_other_tensors_take_other_routes(build: Callable[[Tensor], Tensor], alone: bool) -> None:
    from qat.integers.chain import together

    x = torch.zeros(3, 2)
    assert together(x, x)
    assert not together(x, build(x))
    assert not together(build(x), x)
    assert together(build(x)) == alone
