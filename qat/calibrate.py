"""Calibration: scales from float values, min-max for post-training quantization, or fitted to a narrow accumulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from .layers.layer import Layer, named
from .layers.weighted import Weighted
from .model import PreparedModel, check_prepared

Batches = Iterable[Tensor | Sequence[Tensor]]

WRAP_HEADROOM = 1.5  # a sum that wraps is lost, one that saturates is nearly right


@torch.no_grad()
def calibrate(model: PreparedModel, batches: Batches) -> None:
    """Post-training quantization: set all scales from the smallest and largest float values on `batches`.

    batches : tensors as the model takes them, or tuples that begin with its arguments (or with a tuple of them), as a
    data loader gives them

    The accumulator's width plays no part. Raises ``ValueError`` for no batches, or values that are not finite.
    """
    check_prepared(model)
    layers = model.quantizers
    quantizers = layers.activations()
    for quantizer in quantizers.values():
        quantizer.reset()
    with full_precision(model):
        for inputs in inputs_of(model, batches):
            for name, x in inputs.items():
                quantizers[name].observe(x)
            for layer, _, y in float_layers(model, inputs):
                if layer.name in quantizers:
                    quantizers[layer.name].observe(y)
    for layer in layers:
        if isinstance(layer, Weighted):
            with named(layer.name):
                layer.weight.settle(layer.folded(model)[0])
    for name, quantizer in quantizers.items():
        with named(name):
            quantizer.settle()


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
            ratio = peaks[layer.name] / (limit * x_scale() * w_scale())
            share = ratio.clamp(min=1).median().sqrt()
            x_scale.set(x_scale() * share)
            w_scale.set(w_scale() * (ratio / share).clamp(min=1))


def inputs_of(model: PreparedModel, batches: Batches) -> Iterator[dict[str, Tensor]]:
    """{input name: float tensor} of each batch, checked."""
    host = model.quantizers.host
    count = 0
    for batch in batches:
        values = batch if isinstance(batch, (tuple, list)) else (batch,)
        if values and isinstance(values[0], (tuple, list)):
            values = values[0]
        yield host(values[: len(host.arguments)], model)
        count += 1
    if not count:
        raise ValueError("batches must hold at least one batch, not none")


def float_layers(model: PreparedModel, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Layer, list[Tensor], Tensor]]:
    """Every layer of the float network with its sources and its result."""
    values = {name: x.float() for name, x in inputs.items()}
    for layer in model.quantizers:
        sources = [values[source] for source in layer.sources]
        values[layer.name] = layer.real(sources, model)
        yield layer, sources, values[layer.name]


def full_precision(model: PreparedModel) -> torch.autocast:
    """A context in which float32 products are float32, whatever autocast is around it."""
    return torch.autocast(model.quantizers.device.type, enabled=False)
