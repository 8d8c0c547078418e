"""`guarantee`: weights that stay within the bound that no sum can pass; `overflow_penalty`: a loss that pulls there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..integers.tensor import QuantizedTensor
from ..layers.layer import Step, named
from ..layers.weighted import Weighted
from ..model import PreparedModel, check_prepared, evaluating
from ..scales.constrain import worst_sums
from ..scales.quantizers import quantize_bias

FINER, COARSER, PER_OCTAVE = 1, 10, 4  # octaves below and above the calibrated scales in which better ones are sought


@torch.no_grad()
def guarantee(model: PreparedModel, *, center: bool = True) -> None:
    """Keep the weights of all convolutions and linear layers such that no input can make a sum overflow, for good.

    From here on every forward pass projects the weights as A2Q+ does (see `qat.constrain`): centered per channel,
    within the bound that follows from the accumulator, the bias and the codes that the layer's input can hold, and
    rounded towards zero. The parameters themselves stay as they are, and training moves them with straight-through
    gradients; after every step the integer weights hold the bound exactly, so `emulator.certify` calls the exported
    model safe. The weights' scales are set anew: to those with which the projected weights are nearest to the float
    ones; where scales are not learned they stay there. BatchNorm's running statistics stay as they are, too:
    they would follow the float weights. Recorded ranges are discarded (`record_ranges`).

    model : prepared, best calibrated. A narrow accumulator needs few `activation_bits`: each of them halves the bound.
    center : A2Q+ centers, which makes the most of the bound but changes what a channel computes: it needs training.
    Without it the model is better before training, and not worse after it unless the bound is very narrow.
    """
    for layer, x in weighted_inputs(model):
        with named(layer.name):
            layer.guaranteed.fill_(True)
            layer.centered.fill_(center)
            layer.weight.scale.set(_nearest_scale(layer, x, model))
    model.quantizers.recorded.zero_()


def overflow_penalty(model: PreparedModel) -> Tensor:
    """How far the worst cases of all sums pass the accumulator's range: a float64 scalar to add to a loss.

    Summed over layers, channels and both ends, in units of 2^(P−1): what the largest partial sum over all legal inputs,
    in any order, exceeds the range by. It is exactly 0 if and only if no channel's worst case passes the range. The
    gradient goes to the weights, biases and scales that take part, in the direction that brings the sums back.
    """
    terms = []
    for layer, x in weighted_inputs(model):
        codes, bias, _ = layer.integers(x, Step(model))
        lowest, highest = worst_sums(codes.double().flatten(1), bias, x.extremes)
        least, most = layer.arithmetic.accumulator_range
        terms.append(((least - lowest).clamp(min=0) + (highest - most).clamp(min=0)).sum() / -least)
    return torch.stack(terms).sum()


def weighted_inputs(model: PreparedModel) -> Iterator[tuple[Weighted, QuantizedTensor]]:
    """Every convolution and linear layer with a tensor of the kind that it reads: scale, zero point and legal codes."""
    check_prepared(model)
    layers, host = model.quantizers, model.quantizers.host
    with evaluating(model):
        # None of these depends on the data: one sample of zeros shows them all.
        sizes = zip(host.names, host.shapes, strict=True)
        zeros = {name: torch.zeros(1, *shape, device=layers.device) for name, shape in sizes}
        tensors: dict[str, QuantizedTensor] = layers(zeros, Step(model))
    for layer in layers:
        if isinstance(layer, Weighted):
            yield layer, tensors[layer.sources[0]]


def _nearest_scale(layer: Weighted, x: QuantizedTensor, model: PreparedModel) -> Tensor:
    """The scale, or per channel, with which the projected weights are nearest to the float ones."""
    weight, bias = layer.folded(model)
    target = weight.flatten(1)
    if layer.centered:
        target = target - target.mean(1, keepdim=True)
    scale: Tensor = layer.weight.scale().clone()
    best, least = scale, torch.full_like(scale, torch.inf)
    for step in range(-FINER * PER_OCTAVE, COARSER * PER_OCTAVE + 1):
        candidate = scale * 2.0 ** (step / PER_OCTAVE)
        scales = candidate.expand(len(weight))
        integers = quantize_bias(bias + layer.correction, x.scale, scales, layer.arithmetic)
        codes = layer.constrained(weight, scales, integers, x).flatten(1)
        error = (codes * scales.unsqueeze(1) - target).square().sum(1)
        error = error if scale.ndim else error.sum()
        best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
    return best
