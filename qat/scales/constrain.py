"""Weights that no input can make overflow: the projection of A2Q+ in fixed-point integers.

A2Q+ (Colbert, Pappalardo, Petri-Koenig, Umuroglu: "A2Q+: Improving Accumulator-Aware Weight Quantization", ICML 2024)
centers each channel's weights on zero, bounds their l1 norm and rounds towards zero; without a bias and with N-bit
activations its bound is (2^P − 2) / (2^N − 1). Here the bound is the contract's own (section 6), with the bias and with
the codes that the input can hold, and what is checked is the rounded weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from emulator import Arithmetic

from ..integers.straight_through import straight_through

FRACTION_BITS = 12  # of the fixed-point numbers in which channels are centered and shrunk


def constrained_codes(
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    limit: int,
    extremes: tuple[int, int],
    arithmetic: Arithmetic,
    center: bool,
) -> Tensor:
    """Codes of `weight` such that no partial sum leaves the accumulator's range, whatever the input.

    weight : float32 (channels, …); scale : float32 (channels,); bias : (channels,) integers of min(P, 32) bits
    limit : the largest code, and the magnitude of the smallest one
    extremes : smallest (≤ 0) and largest (≥ 0) legal value of ``x − zx``
    center : whether each channel's mean is taken from its weights first

    The weights of a channel are moved towards zero by the smallest distance (in steps of 2^−12 codes) with which the
    rounded ones hold the bound, the projection onto an l1 ball; then the positive or the negative ones, whose share of
    the bound that may leave unused, come back as far as it still holds. Sums and comparisons are integers, so neither
    threads nor devices change the result.

    Returns float32 integers. The gradient passes straight through to the (centered) weight; to the scale it does so
    only where nothing had to be moved: what is moved is bound by the scale, as clipped values are. Raises
    ``ValueError`` for weights that are NaN.
    """
    shape = (-1, *[1] * (weight.ndim - 1))
    with torch.no_grad():
        ratio = weight / scale.view(shape)
        if bool(ratio.isnan().any()):
            raise ValueError("weight must not contain NaN")
        numbers = (ratio.clamp(-limit, limit) * (1 << FRACTION_BITS)).to(torch.int32).flatten(1)
        if center:
            mean = torch.div(numbers.sum(1, keepdim=True), numbers.shape[1], rounding_mode="floor").int()
            numbers = (numbers - mean).clamp(-limit << FRACTION_BITS, limit << FRACTION_BITS)
        codes, moved = _shrunk(numbers, bias.detach().long(), extremes, arithmetic.accumulator_range)
        codes = codes.float().view_as(weight)
    surrogate = weight / torch.where(moved, scale.detach(), scale).view(shape)
    if center:
        surrogate = surrogate - surrogate.flatten(1).mean(1).view(shape)
    return straight_through(surrogate, codes, ratio.abs() <= limit)


def worst_sums(codes: Tensor, bias: Tensor, extremes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Smallest and largest partial sum of any input, in any order: (channels,) each (contract, section 6).

    codes : (channels, steps); bias : (channels,), of one type, which holds the sums
    extremes : smallest (≤ 0) and largest (≥ 0) legal value of ``x − zx``
    """
    low, high = extremes
    positive, negative = codes.clamp(min=0).sum(1), codes.clamp(max=0).sum(1)
    return bias + low * positive + high * negative, bias + high * positive + low * negative


def _shrunk(numbers: Tensor, bias: Tensor, extremes: tuple[int, int], limits: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(codes, whether moved): fixed-point (channels, steps), moved until the bound holds, and rounded to zero."""
    positive, negative = numbers.clamp(min=0), -numbers.clamp(max=0)

    def rounded(up: Tensor, down: Tensor) -> Tensor:
        above, below = (positive - up.unsqueeze(1)).clamp(min=0), (negative - down.unsqueeze(1)).clamp(min=0)
        return (above >> FRACTION_BITS) - (below >> FRACTION_BITS)

    def holds(up: Tensor, down: Tensor) -> Tensor:
        lowest, highest = worst_sums(rounded(up, down), bias, extremes)
        return (limits[0] <= lowest) & (highest <= limits[1])

    # Weights of 0 hold the bound: a bias fits the accumulator.
    both = _smallest(lambda distance: holds(distance, distance), numbers.abs().amax(1))
    up = _smallest(lambda distance: holds(distance, both), both)
    down = _smallest(lambda distance: holds(up, distance), both)
    return rounded(up, down), both > 0


def _smallest(holds: Callable[[Tensor], Tensor], enough: Tensor) -> Tensor:
    """Per channel the smallest integer ≥ 0 that holds; `enough` and whatever is above one that holds does, too."""
    below = torch.zeros_like(enough)
    enough = torch.where(holds(below), below, enough)
    while bool((enough - below > 1).any()):
        middle = (below + enough) // 2
        good = holds(middle)
        below, enough = torch.where(good, below, middle), torch.where(good, middle, enough)
    return enough
