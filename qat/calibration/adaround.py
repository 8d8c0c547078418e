"""AdaRound: which weights to round up and which down, learned layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emulator.arithmetic import check_integer

from ..distributed import gathered
from ..layers.weighted import Weighted
from ..model import PreparedModel
from .float_pass import layer_inputs
from .reconstruction import reconstruction

# The rectified sigmoid's stretch, and the range of the regularizer's exponent, as in the paper.
ZETA, GAMMA = 1.1, -0.1
BETA_START, BETA_END = 20.0, 2.0
WARM_UP = 0.2  # share of the steps without the regularizer


@dataclass(frozen=True, kw_only=True)
class AdaRound:
    """How long and on what each layer's roundings are learned.

    steps : of Adam; samples : images of each step, drawn from all that the batches hold; of maps a step sees as many
    windows as `samples` images have, at most 64 for each of them, which it draws from all images
    learning_rate : of the roundings' variables; regularization : weight of the term that makes them 0 or 1, a mean over
    the weights, beside the layer's error relative to that of the nearest codes, so it does not depend on their scale
    seed : of the draw
    """

    steps: int = 1000
    samples: int = 32
    learning_rate: float = 1e-2
    regularization: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 1, 1 << 30)
        check_integer("samples", self.samples, 1, 1 << 30)
        for name in ("learning_rate", "regularization"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, not {value!r}")
        check_integer("seed", self.seed, 0, (1 << 63) - 1)


def learn_roundings(model: PreparedModel, batches: Sequence[Mapping[str, Tensor]], options: AdaRound) -> None:
    """Set the weight quantizers' `offsets` of all layers, each behind those that are done.

    batches : {input: tensor}; `model` in eval mode, calibrated

    Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization" (2020), with the asymmetric
    reconstruction of section 3.3: the layer reads what the integer layers before it make, and should give what the
    float network gives, behind its activation function. A layer whose error on the batches does not become smaller
    keeps the nearest codes. The accumulator's width plays no part. Of several processes all take the first one's.
    """
    done: set[nn.Module] = set()
    for layer, pairs in layer_inputs(model, batches):
        # Layers that share weights have the roundings of the first one.
        if isinstance(layer, Weighted) and layer.weight not in done:
            done.add(layer.weight)
            layer.weight.offsets = None
            with torch.no_grad():
                weight, bias = (tensor.detach() for tensor in layer.folded(model))
                inputs = torch.cat([x.real for _, x in pairs])
                targets = torch.cat([layer.clamped(layer.plain(real, weight, bias)) for real, _ in pairs])
                nearest = layer.weight.nearest(weight)
            error = _error(layer, nearest, bias, inputs, targets)
            codes = _learn(layer, weight, bias, inputs, targets, error, options)
            if _error(layer, codes, bias, inputs, targets) >= error:
                codes = nearest
            offsets = gathered((codes - nearest).to(torch.int8))[0]
            if bool(offsets.any()):
                layer.weight.offsets = offsets


@torch.no_grad()
def _learn(
    layer: Weighted, weight: Tensor, bias: Tensor, inputs: Tensor, targets: Tensor, error: float, options: AdaRound
) -> Tensor:
    """The codes, float32 integers of weight's shape."""
    scale = _column(layer, weight)
    least = max(error, torch.finfo(torch.float32).tiny)
    down, free = torch.floor(weight / scale), weight != 0  # a pruned weight stays 0: it has no gradient
    share = (weight / scale - down).clamp(1e-4, 1 - 1e-4)
    # The variables whose rectified sigmoid is the fraction: learning starts at the float weights.
    logits = torch.logit((share - GAMMA) / (ZETA - GAMMA))
    optimizer = torch.optim.Adam([logits], lr=options.learning_rate)
    generator = torch.Generator().manual_seed(options.seed)
    errors = reconstruction(layer, weight, bias, inputs, targets, options.samples, generator)
    warm_up = round(WARM_UP * options.steps)
    for step in range(options.steps):
        sigmoid = torch.sigmoid(logits)
        stretched = sigmoid * (ZETA - GAMMA) + GAMMA
        up = stretched.clamp(0, 1) * free
        wanted, codes = down + up, layer.weight.clamped(down + up)
        # By hand: autograd takes as long as all the rest.
        gradient = errors.gradient(codes * scale, generator) * (scale / least) * (codes == wanted)
        if step >= warm_up:
            progress = (step - warm_up) / max(options.steps - warm_up, 1)
            beta = BETA_END + (BETA_START - BETA_END) * (1 + math.cos(math.pi * progress)) / 2
            # Of the mean of 1 − |2·up − 1|^beta.
            distance = 2 * up - 1
            pull = distance.abs().pow_(beta - 1).mul_(distance.sign())
            gradient.sub_(pull, alpha=2 * beta * options.regularization / up.numel())
        slope = sigmoid * (1 - sigmoid) * (ZETA - GAMMA)
        logits.grad = gradient * slope * (free & (stretched >= 0) & (stretched <= 1))
        optimizer.step()
    return layer.weight.clamped(down + (_rectified_sigmoid(logits) >= 0.5))


def _rectified_sigmoid(logits: Tensor) -> Tensor:
    return (torch.sigmoid(logits) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def _column(layer: Weighted, weight: Tensor) -> Tensor:
    """The weight scales, shaped to broadcast against `weight`."""
    scale: Tensor = layer.weight.scale().detach()
    return scale.view(-1, *[1] * (weight.ndim - 1))


@torch.no_grad()
def _error(layer: Weighted, codes: Tensor, bias: Tensor, inputs: Tensor, targets: Tensor) -> float:
    y = layer.clamped(layer.plain(inputs, codes * _column(layer, codes), bias))
    return float((y - targets).double().square().mean())
