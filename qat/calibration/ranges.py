"""Range statistics: how a tensor's codes use their range, recorded where a model is calibrated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator.arithmetic import check_integer

from ..distributed import gathered
from ..integers.tensor import QuantizedTensor
from ..layers.layer import Layer, Requantized, Step
from ..layers.matrix_product import MatrixProduct
from ..layers.weighted import Weighted
from ..model import PreparedModel, check_prepared, evaluating
from ..quantized_layers import QuantizedLayers
from ..scales.quantizers import NO_CLAMP, ActivationQuantizer, Clamp
from .float_pass import Batches, full_precision, inputs_of

TAIL = 1000  # one code in so many may lie below the used range, and as many above
MOST = (1 << 63) - 1
CODES = np.arange(-128, 128)


@dataclass(frozen=True, kw_only=True)
class RangeStatistics:
    """Of an input or a layer over some data.

    codes : how many were seen
    cut : values that the range cut off: of an input, those beyond it; of a layer, codes equal to `bottom` or `top`
    bottom, top : the end codes of a layer that stand for values beyond the range; None where an activation function
    ends there, and at a bottom that is the real 0
    overflows : sums that left the accumulator's range
    low, high : the used range; at most one code in 1000 lies below it, and one above
    mean, deviation : mean and standard deviation of the codes

    Raises ``ValueError`` naming the field that is no such number.
    """

    codes: int
    cut: int
    overflows: int
    low: int
    high: int
    mean: float
    deviation: float
    bottom: int | None
    top: int | None

    def __post_init__(self) -> None:
        check_integer("codes", self.codes, 1, MOST)
        for name in ("cut", "overflows"):
            check_integer(name, getattr(self, name), 0, self.codes)
        for name in ("low", "high", "bottom", "top"):
            if getattr(self, name) is not None or name in ("low", "high"):
                check_integer(name, getattr(self, name), -128, 127)
        for name, least in (("mean", -128.0), ("deviation", 0.0)):
            value = getattr(self, name)
            if not isinstance(value, float) or not least <= value <= 255:
                raise ValueError(f"{name} must be a number from {least} to 255, not {value!r}")


def range_statistics(
    counts: NDArray[np.int64], overflows: int, ends: tuple[int | None, int | None], cut: int | None = None
) -> RangeStatistics:
    """The statistics of a tensor that has the code i − 128 ``counts[i]`` times, i = 0 … 255.

    ends : `RangeStatistics.bottom` and `RangeStatistics.top`; cut : None to count these
    """
    total = int(counts.sum())
    mean = float(np.dot(counts, CODES)) / total
    below = np.cumsum(counts)
    above = np.cumsum(counts[::-1])
    return RangeStatistics(
        codes=total,
        cut=sum(int(counts[end + 128]) for end in ends if end is not None) if cut is None else cut,
        overflows=overflows,
        low=int(np.argmax(below * TAIL > total)) - 128,
        high=127 - int(np.argmax(above * TAIL > total)),
        mean=mean,
        deviation=math.sqrt(float(np.dot(counts, (CODES - mean) ** 2)) / total),
        bottom=ends[0],
        top=ends[1],
    )


@torch.no_grad()
def record_ranges(model: PreparedModel, batches: Batches) -> None:
    """Record how the codes of all inputs and layers use their ranges on `batches`, as `calibrate` does at its end.

    batches : as for `calibrate`

    The counts are part of the model's state, `export_onnx` writes their statistics into the file, and `compare_ranges`
    compares new data with them. A forward pass in ``train()`` discards them, so call this behind a training.
    """
    check_prepared(model)
    layers = model.quantizers
    recorded = torch.zeros_like(layers.recorded)
    made = {layer.name: layer for layer in layers}
    with full_precision(model), evaluating(model):
        for inputs in inputs_of(model, batches):
            step = Step(model)
            tensors = layers(inputs, step)
            for row, name in zip(recorded, layers.activations(), strict=True):
                row[:256] += torch.bincount(tensors[name].codes.flatten().long() + 128, minlength=256)
                if name in inputs:
                    row[256] += _cut(inputs[name], tensors[name])
                else:
                    row[257] += _overflows(made[name], [tensors[source] for source in made[name].sources], step)
    layers.recorded.copy_(gathered(recorded).sum(0))


def recorded_ranges(layers: QuantizedLayers) -> dict[str, RangeStatistics]:
    """{input or layer with scales: its statistics}; {} where nothing is recorded."""
    clamps = {layer.name: layer.clamp for layer in layers if isinstance(layer, Requantized)}
    result = {}
    for row, (name, quantizer) in zip(layers.recorded.cpu().numpy(), layers.activations().items(), strict=True):
        if row[:256].any():
            if name in layers.host.names:
                result[name] = range_statistics(row[:256], 0, (None, None), int(row[256]))
            else:
                result[name] = range_statistics(row[:256], int(row[257]), _ends(quantizer, clamps[name]))
    return result


def _ends(quantizer: ActivationQuantizer, clamp: Clamp = NO_CLAMP) -> tuple[int | None, int | None]:
    least, most = quantizer.code_range
    zero_point, scale = int(quantizer.zero_point), quantizer.scale().item()
    free_below = clamp[0] < (least - zero_point - 0.5) * scale and least < zero_point
    return least if free_below else None, most if clamp[1] > (most - zero_point + 0.5) * scale else None


def _cut(x: Tensor, y: QuantizedTensor) -> Any:
    """Values of `x` whose rounded code lies beyond the legal ones of `y`."""
    rounded = (x.float() / y.scale.view([1] * x.ndim)).round() + y.zero_point
    return ((rounded < y.y_min) | (rounded > y.y_max)).sum()


def _overflows(layer: Layer, operands: list[QuantizedTensor], step: Step) -> int:
    if isinstance(layer, MatrixProduct):
        return int(layer.overflows(*operands).sum())
    if not isinstance(layer, Weighted):
        return 0
    (x,) = operands
    codes, bias, _ = layer.integers(x, step)
    reach = codes.double().abs().flatten(1).sum(1) * max(map(abs, x.extremes)) + bias.abs()
    if float(reach.max()) <= layer.arithmetic.accumulator_range[1]:
        return 0
    return int(layer.overflows(x, step).sum())
