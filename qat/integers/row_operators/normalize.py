"""The contract's layer norm and RMS norm on torch tensors (section 15)."""

from __future__ import annotations

import torch
from torch import Tensor

from emulator import Arithmetic
from emulator.operators.row_operators import NormalizationParameters
from emulator.operators.row_operators.normalization_parameters import FRACTION_BITS, GAMMA_BITS
from emulator.operators.row_operators.normalize import MANTISSA_BITS, ROOT_BITS
from emulator.operators.row_operators.rows import check_length, row_multiplier_bits

from ..requantize import requantize
from .integers import bit_length, floor_root

SUM_BOUND = 1 << 40
"""Above what is rounded, in 2^−16 of a code: γ times at most 64 standard deviations, and β."""


def layer_norm(centered: Tensor, parameters: NormalizationParameters, arithmetic: Arithmetic) -> tuple[Tensor, Tensor]:
    """Codes of the layer norm over the last axis minus their zero point, float32, and where the clamp changed nothing.

    centered : (…, N) exact integers x − zx of any type, N = parameters.length; other N are a ``ValueError``
    """
    values = _values(centered, parameters)
    return _normalize(values, values.sum(-1, keepdim=True), parameters, arithmetic)


def rms_norm(centered: Tensor, parameters: NormalizationParameters, arithmetic: Arithmetic) -> tuple[Tensor, Tensor]:
    """As `layer_norm`, without the mean."""
    values = _values(centered, parameters)
    return _normalize(values, torch.zeros_like(values[..., :1]), parameters, arithmetic)


def reciprocal_root(spread: Tensor, epsilon: int) -> tuple[Tensor, Tensor]:
    """(root, exponent), int64, with root / 2^(16 + exponent) = 1 / √(spread + epsilon / 2^16); 0 where `spread` is."""
    none = spread == 0
    radicand = torch.where(none, 1 << FRACTION_BITS, (spread << FRACTION_BITS) + epsilon)
    exponent = (bit_length(radicand) - (FRACTION_BITS + 1)) >> 1
    places = MANTISSA_BITS - 2 - FRACTION_BITS - 2 * exponent
    mantissa = (radicand << places.clamp_min(0)) >> (-places).clamp_min(0)
    whole = torch.full_like(mantissa, 1 << (MANTISSA_BITS + 2 * ROOT_BITS))
    twice = floor_root(whole // mantissa, ROOT_BITS + 2)
    root = ((twice + 1) >> 1).clamp_max((1 << ROOT_BITS) - 1)
    return torch.where(none, 0, root), torch.where(none, 0, exponent)


def _values(centered: Tensor, parameters: NormalizationParameters) -> Tensor:
    check_length(tuple(centered.shape), parameters.length)
    return centered.detach().long()


def _normalize(
    values: Tensor, total: Tensor, parameters: NormalizationParameters, arithmetic: Arithmetic
) -> tuple[Tensor, Tensor]:
    gamma, gamma_shift, beta = (
        torch.from_numpy(part).to(values.device) for part in (parameters.gamma, parameters.gamma_shift, parameters.beta)
    )
    spread = parameters.length * (values * values).sum(-1, keepdim=True) - total * total
    root, exponent = reciprocal_root(spread, parameters.epsilon)
    places = ROOT_BITS + GAMMA_BITS - row_multiplier_bits(arithmetic)
    multiplier = ((root * gamma.abs()) >> places) * gamma.sign()
    scaled = ((parameters.length * values - total) * multiplier << places) >> (exponent + gamma_shift)
    clamp = parameters.zero_point, parameters.y_min, parameters.y_max
    one, shift = (torch.tensor(number, device=values.device) for number in (1, FRACTION_BITS))
    return requantize(scaled + beta, one, shift, *clamp, arithmetic, SUM_BOUND)
