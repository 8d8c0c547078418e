"""Bias correction: the mean error that quantization makes in each channel goes into the bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..distributed import gathered
from ..integers.tensor import QuantizedTensor
from ..layers.layer import Step
from ..layers.weighted import Weighted
from ..model import PreparedModel
from .float_pass import layer_inputs


@torch.no_grad()
def correct_biases(model: PreparedModel, batches: Sequence[Mapping[str, Tensor]]) -> None:
    """Set every layer's `correction` so that the means of its sums are those of the float network.

    batches : {input: tensor}; `model` in eval mode, calibrated

    The empirical form of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
    section 4.2: layer by layer, each behind the corrected ones, and on the integers, so errors of the accumulator's
    overflow are corrected with those of the rounding. Means are over batch and positions, in float64.
    """
    for layer, pairs in layer_inputs(model, batches):
        if isinstance(layer, Weighted):
            layer.correction.zero_()
            layer.correction.copy_(missing_bias(model, layer, pairs))


def missing_bias(model: PreparedModel, layer: Weighted, pairs: Sequence[tuple[Tensor, QuantizedTensor]]) -> Tensor:
    """What the bias lacks for the means of the float sums and the integer ones to agree: float64 (channels,).

    pairs : what the layer reads of each batch, in the float network and in the integer one
    """
    total, count = torch.zeros_like(layer.correction, dtype=torch.float64), 0
    rounding: Tensor | float = 0.0
    axis = -1 if layer.geometry is None else 1  # of the channels
    for real, x in pairs:
        weight, bias, w_scale = layer.integers(x, Step(model))
        acc, _, _ = layer.sums(x, weight, bias)
        unit = x.scale.double() * w_scale.double()
        folded = layer.folded(model)
        expected = layer.unrowed(layer.plain(real, *folded), real)
        # The sums hold the rounded bias; the correction is added to the one before rounding.
        rounding = bias * unit - folded[1].double()
        of_floats, of_integers = (sums.double().movedim(axis, 0).flatten(1).sum(1) for sums in (expected, acc))
        total += of_floats - of_integers * unit
        count += acc.numel() // acc.shape[axis]
    return gathered(total).sum(0) / max(int(gathered(torch.tensor(count)).sum()), 1) + rounding
