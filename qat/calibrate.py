"""Calibration: scales from float values, min-max for post-training quantization, or fitted to a narrow accumulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from .layer import INPUT, Layer, Requantized, named
from .model import PreparedModel, check_prepared
from .quantizers import ActivationQuantizer
from .weighted import Weighted

Batches = Iterable[Tensor | Sequence[Tensor]]

WRAP_HEADROOM = 1.5  # a sum that wraps is lost, one that saturates is nearly right


@torch.no_grad()
def calibrate(model: PreparedModel, batches: Batches) -> None:
    """Post-training quantization: set all scales from the smallest and largest float values on `batches`.

    batches : float tensors as the model takes them, or tuples that begin with one, as a data loader gives them

    The accumulator's width plays no part. Raises ``ValueError`` for no batches, or values that are not finite.
    """
    check_prepared(model)
    layers = model.quantizers
    quantizers = [layers.input, *(layer.output for layer in layers if isinstance(layer, Requantized))]
    for quantizer in quantizers:
        quantizer.reset()
    with full_precision(model):
        for x in inputs_of(model, batches):
            layers.input.observe(x)
            for layer, _, y in float_layers(model, x):
                if isinstance(layer, Requantized):
                    layer.output.observe(y)
    with named(INPUT):
        layers.input.settle()
    for layer in layers:
        with named(layer.name):
            if isinstance(layer, Weighted):
                layer.weight.settle(layer.folded(model)[0])
            if isinstance(layer, Requantized):
                layer.output.settle()


@torch.no_grad()
def fit_accumulator(model: PreparedModel, batches: Batches) -> None:
    """Raise the scales of a calibrated model until the sums on `batches` fit the accumulator.

    batches : as for `calibrate`

    Where the largest float sum of a channel exceeds the accumulator's range, the product of input and weight scale
    grows by that ratio: evenly (in the log domain) between the input, by the median over the channels, and the
    channel's weights. Zero points stay. A good start for training towards a narrow accumulator, and often good enough
    without; where the accumulator is wide enough it changes nothing.
    """
    check_prepared(model)
    peaks: dict[str, Tensor] = {}
    with full_precision(model):
        for x in inputs_of(model, batches):
            for layer, source, _ in float_layers(model, x):
                if isinstance(layer, Weighted):
                    peak = layer.plain(source, *layer.folded(model)).abs().transpose(0, 1).flatten(1).amax(1)
                    peaks[layer.name] = torch.maximum(peaks.get(layer.name, peak), peak)
    arithmetic = model.quantizers.arithmetic
    limit = arithmetic.accumulator_range[1] / (WRAP_HEADROOM if arithmetic.overflow == "wrap" else 1)
    inputs: dict[str, ActivationQuantizer] = {INPUT: model.quantizers.input}
    for layer in model.quantizers:
        inputs[layer.name] = layer.output if isinstance(layer, Requantized) else inputs[layer.source]
        if isinstance(layer, Weighted):
            x_scale, w_scale = inputs[layer.source].scale, layer.weight.scale
            ratio = peaks[layer.name] / (limit * x_scale() * w_scale())
            share = ratio.clamp(min=1).median().sqrt()
            x_scale.set(x_scale() * share)
            w_scale.set(w_scale() * (ratio / share).clamp(min=1))


def inputs_of(model: PreparedModel, batches: Batches) -> Iterator[Tensor]:
    """The checked tensors in `batches`."""
    count = 0
    for batch in batches:
        yield model.quantizers.check(batch[0] if isinstance(batch, (tuple, list)) else batch)
        count += 1
    if not count:
        raise ValueError("batches must hold at least one batch, not none")


def float_layers(model: PreparedModel, x: Tensor) -> Iterator[tuple[Layer, Tensor, Tensor]]:
    """Every layer of the float network with its input and output for `x`."""
    values = {INPUT: x.float()}
    for layer in model.quantizers:
        values[layer.name] = layer.real(values[layer.source], model)
        yield layer, values[layer.source], values[layer.name]


def full_precision(model: PreparedModel) -> torch.autocast:
    """A context in which float32 products are float32, whatever autocast is around it."""
    return torch.autocast(model.quantizers.input.low.device.type, enabled=False)
