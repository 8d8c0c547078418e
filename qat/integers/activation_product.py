"""The contract's product of two activations on torch tensors (section 9a), head by head."""

from __future__ import annotations

import torch
from torch import Tensor

from emulator import Arithmetic
from emulator.operators.matrix_product import matrix_product

from .exact_product import EXACT_FLOAT32
from .straight_through import saturated, wrapped
from .tensor import QuantizedTensor


def activation_product(
    a: QuantizedTensor, b: QuantizedTensor, arithmetic: Arithmetic, float32: bool
) -> tuple[Tensor, int]:
    """The sums of (a − za) · (b − zb) over k = 0, …, K−1, and a bound of their magnitude.

    a, b : (batch, …, M, K) and (batch, …, K, N); the axes between are heads, of which torch.matmul repeats 1
    float32 : whether products of float32 are exact for tensors like these (`float32_is_exact`)

    Returns exact integers (batch, …, M, N) in float32, or in float64 where float32 may not hold them. The gradient is
    that of the plain product, and for sums that overflow that of `wrapped` or `saturated`. The codes of `b` must be
    weights' (weight_bits), or ``ValueError`` follows where sums are walked.
    """
    largest = largest_sum(a, b)
    kind = torch.float32 if float32 and largest <= EXACT_FLOAT32 else torch.float64
    x, y = a.centered.to(kind), b.centered.to(kind)
    ideal = torch.matmul(x, y)
    least, most = arithmetic.accumulator_range
    if largest <= most:
        return ideal, largest
    # The largest sum of a subset of a sum's terms is that of its positive ones: no order of them leaves the range
    # where that does not, and half of magnitudes plus sums is exact, as twice a subset's sum is an even number.
    sums, magnitudes = ideal.detach(), torch.matmul(x.detach().abs(), y.detach().abs())
    past = ((magnitudes + sums) / 2 > most) | ((sums - magnitudes) / 2 < least)
    bound = min(largest, -least)
    if not past.any():
        return ideal, bound
    narrow = torch.float32 if bound <= EXACT_FLOAT32 else torch.float64
    if arithmetic.overflow == "wrap":
        # Sums modulo 2^P do not depend on where they wrap.
        actual = torch.remainder(sums.double() - least, most - least + 1) + least
        return wrapped(ideal, actual.to(narrow)), bound
    return saturated(ideal, _walked(a, b, arithmetic, sums, past).to(narrow)), bound


def largest_sum(a: QuantizedTensor, b: QuantizedTensor) -> int:
    """What no subset of the terms of a sum exceeds in magnitude, whatever the codes of (…, K) and (…, K, N) are."""
    return a.centered.shape[-1] * max(map(abs, a.extremes)) * max(map(abs, b.extremes))


def _walked(a: QuantizedTensor, b: QuantizedTensor, arithmetic: Arithmetic, ideal: Tensor, past: Tensor) -> Tensor:
    """`ideal`, with the sums of each matrix that has one that is `past` the range taken step by step."""
    result = ideal.flatten(0, -3).clone()
    chosen = past.flatten(0, -3).flatten(1).any(1)
    heads = ideal.shape[:-2]
    left, right = (x.codes.expand(*heads, *x.codes.shape[-2:]).flatten(0, -3)[chosen].cpu().numpy() for x in (a, b))
    sums, _ = matrix_product(left, right, arithmetic, a.zero_point, b.zero_point)
    result[chosen] = torch.from_numpy(sums).to(result)
    return result.view(ideal.shape)
