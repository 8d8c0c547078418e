"""Calibration: scales from float values, post-training quantization and its options, and narrow accumulators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from ..distributed import gathered
from ..layers.layer import named
from ..layers.weighted import Weighted
from ..model import PreparedModel, check_prepared, evaluating
from .adaround import AdaRound, learn_roundings
from .bias_correction import correct_biases
from .equalize import equalize as equalize_layers
from .float_pass import Batches, float_layers, full_precision, inputs_of
from .ranges import record_ranges

WRAP_HEADROOM = 1.5  # a sum that wraps is lost, one that saturates is nearly right


def calibrate(
    model: PreparedModel,
    batches: Batches,
    *,
    equalize: bool = False,
    bias_correction: bool = False,
    adaround: AdaRound | bool = False,
) -> None:
    """Post-training quantization: set all scales from the float values on `batches`, as the layers' observers say.

    batches : tensors as the model takes them, or tuples that begin with its arguments (or with a tuple of them), as a
    data loader gives them; they are gone through twice, and all kept in memory where they are an iterator, or with
    `bias_correction` or `adaround`, which also keep what all of them make of a layer until no other layer reads it
    equalize : first give the channels between two layers equal ranges of weights; this rewrites parameters
    adaround : then learn which weights to round up and which down (True: as `AdaRound` does by default)
    bias_correction : at last correct the biases by each channel's mean error

    At last the ranges of all codes are recorded (`record_ranges`), for `compare_ranges` on a deployed model. What an
    earlier call with `adaround` or `bias_correction` found is forgotten. The accumulator's width plays no part
    but in the errors that `bias_correction` sees. Raises ``ValueError`` for no batches, or values that are not finite.
    """
    check_prepared(model)
    if not isinstance(adaround, (bool, AdaRound)):
        raise TypeError(f"adaround must be an AdaRound, True or False, not {adaround!r}")
    options = AdaRound() if adaround is True else adaround
    batches = repeatable(batches)
    with full_precision(model), evaluating(model):
        if equalize:
            equalize_layers(model)
        inputs = list(inputs_of(model, batches)) if options or bias_correction else inputs_of(model, batches)
        set_scales(model, inputs)
        if isinstance(inputs, list) and options:
            learn_roundings(model, inputs, options)
        if isinstance(inputs, list) and bias_correction:
            correct_biases(model, inputs)
    record_ranges(model, batches)


def repeatable(batches: Batches) -> Batches:
    """`batches` so that one can go through them more than once."""
    return list(batches) if isinstance(batches, Iterator) else batches


@torch.no_grad()
def set_scales(model: PreparedModel, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """All scales from the float values; nearest codes and float biases."""
    quantizers = model.quantizers.activations()
    for quantizer in quantizers.values():
        quantizer.reset()
    for inputs in batches:
        for name, x in inputs.items():
            with named(name):
                quantizers[name].observe(x)
        for layer, _, y in float_layers(model, inputs):
            if layer.name in quantizers:
                with named(layer.name):
                    quantizers[layer.name].observe(y)
    for layer in model.quantizers:
        if isinstance(layer, Weighted):
            with named(layer.name):
                layer.weight.offsets = None
                layer.correction.zero_()
                layer.weight.settle(layer.folded(model)[0])
    for name, quantizer in quantizers.items():
        with named(name):
            quantizer.settle()
    for name, state in model.quantizers.states.items():
        start, following = quantizers[name], quantizers.get(state)
        # Zeros that start a recurrence have no range of their own.
        if following is not None and float(start.low) == float(start.high) == 0:
            start.low.copy_(following.low)
            start.high.copy_(following.high)
            start.span()


@torch.no_grad()
def fit_accumulator(model: PreparedModel, batches: Batches) -> None:
    """Raise the scales of a calibrated model until the final sums on `batches` fit the accumulator.

    batches : as for `calibrate`

    Where the largest float sum of a channel exceeds the accumulator's range, the product of input and weight scale
    grows by that ratio: evenly (in the log domain) between the input, by the median over the channels, and the
    channel's weights. Zero points stay. A good start for training towards a narrow accumulator, and often good enough
    without; where the accumulator is wide enough it changes no scale. The ranges are recorded anew.
    """
    check_prepared(model)
    batches = repeatable(batches)
    peaks: dict[str, Tensor] = {}
    with full_precision(model):
        for inputs in inputs_of(model, batches):
            for layer, sources, _ in float_layers(model, inputs):
                if isinstance(layer, Weighted):
                    peak = layer.plain(sources[0], *layer.folded(model)).abs().transpose(0, 1).flatten(1).amax(1)
                    peaks[layer.name] = torch.maximum(peaks.get(layer.name, peak), peak)
    arithmetic = model.quantizers.arithmetic
    limit = arithmetic.accumulator_range[1] / (WRAP_HEADROOM if arithmetic.overflow == "wrap" else 1)
    quantizers = model.quantizers.activations()
    for layer in model.quantizers:
        # A layer that only moves codes has the scale of what it reads.
        quantizers.setdefault(layer.name, quantizers[layer.sources[0]])
        if isinstance(layer, Weighted):
            x_scale, w_scale = quantizers[layer.sources[0]].scale, layer.weight.scale
            ratio = gathered(peaks[layer.name]).amax(0) / (limit * x_scale() * w_scale())
            share = ratio.clamp(min=1).median().sqrt()
            x_scale.set(x_scale() * share)
            growth = (ratio / share).clamp(min=1)
            w_scale.set(w_scale() * (growth if growth.shape == w_scale.value.shape else growth.amax()))
    record_ranges(model, batches)
