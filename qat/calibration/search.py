"""Mixed precision: which weights can do with fewer bits, by a sensitivity search under a size budget."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import torch

from emulator.arithmetic import check_integer

from ..distributed import gathered
from ..host import tensor_named
from ..layers.layer import Step
from ..layers.weighted import Weighted
from ..model import PreparedModel, check_prepared, evaluating
from ..scales.settings import Settings
from .calibrate import calibrate
from .float_pass import Batches, float_layers, full_precision, inputs_of

Evaluate = Callable[[PreparedModel], float]


def search_bits(
    model: PreparedModel,
    batches: Batches,
    evaluate: Evaluate | None,
    budget_bytes: int,
    *,
    bits: Sequence[int] = (2, 3, 4, 5, 6, 7, 8),
) -> Settings:
    """The model's settings with weight bits per layer, such that all weights fit into `budget_bytes`.

    batches : as for `calibrate`, which is called with them and changes the model's scales
    evaluate : the loss of a model in eval mode, lower is better; None for the mean squared distance of its output from
    the float network's on `batches`; all of them are kept in memory
    budget_bytes : for the weights' codes, each layer's packed to whole bytes (see `weight_bytes`)
    bits : the widths to choose from, 2–8; only those that a layer's rules and the arithmetic allow are tried

    The sensitivity of a layer at a width is the loss with its weights alone at that width. Then, while the weights are
    too large, the layer and width with the least growth of the loss per byte saved is taken; the layers' losses are
    taken to add up, and among equal ones the first layer and the widest width come first. It is a start for training
    or for `calibrate` with its options, not an optimum. Use the result with `prepare`. Raises ``ValueError`` where even
    the smallest widths do not fit.
    """
    check_prepared(model)
    if evaluate is not None and not callable(evaluate):
        raise TypeError(f"evaluate must be a function of a model or None, not {evaluate!r}")
    check_integer("budget_bytes", budget_bytes, 1, 1 << 62)
    for width in bits:
        check_integer("bits", width, 2, 8)
    layers = _with_weights(model)
    sizes = {layer.name: tensor_named(model, layer.weight_name).numel() for layer in layers}
    widths = {layer.name: layer.weight.bits for layer in layers}
    choices = {name: sorted({width for width in bits if width < own}, reverse=True) for name, own in widths.items()}
    least = sum(_bytes(size, min([widths[name], *choices[name]])) for name, size in sizes.items())
    if least > budget_bytes:
        raise ValueError(f"budget_bytes must be at least {least}, what the smallest widths take, not {budget_bytes}")
    kept = list(batches)
    calibrate(model, kept)
    with torch.no_grad():
        inputs = list(inputs_of(model, kept))
    loss = (lambda _: _distance(model, inputs)) if evaluate is None else evaluate
    with evaluating(model), torch.no_grad():
        start = _checked(loss(model), "before the search")
        losses = {
            layer.name: {layer.weight.bits: start, **_losses(model, layer, choices[layer.name], loss)}
            for layer in layers
        }

    def saved(name: str, width: int) -> int:
        return _bytes(sizes[name], widths[name]) - _bytes(sizes[name], width)

    def price(step: tuple[str, int]) -> float:
        name, width = step
        return (losses[name][width] - losses[name][widths[name]]) / saved(name, width)

    while sum(_bytes(size, widths[name]) for name, size in sizes.items()) > budget_bytes:
        name, width = min(((n, w) for n in sizes for w in choices[n] if saved(n, w) > 0), key=price)
        widths[name] = width
    return _with_bits(model.quantizers.settings, {n: w for n, w in widths.items() if w != max(losses[n])})


def weight_bytes(model: PreparedModel) -> int:
    """Bytes of all weights' codes, each layer's packed to whole bytes; scales and biases not counted."""
    check_prepared(model)
    return sum(
        _bytes(tensor_named(model, layer.weight_name).numel(), layer.weight.bits) for layer in _with_weights(model)
    )


def _with_weights(model: PreparedModel) -> list[Weighted]:
    """The layers with weights; of those that share them the first."""
    layers = [layer for layer in model.quantizers if isinstance(layer, Weighted)]
    return list({layer.weight: layer for layer in reversed(layers)}.values())[::-1]


def _bytes(weights: int, bits: int) -> int:
    return math.ceil(weights * bits / 8)


def _with_bits(settings: Settings, widths: Mapping[str, int]) -> Settings:
    """`settings` with these weight bits, by a rule at the end for each layer."""
    rules = settings.as_dict()
    for name, width in widths.items():
        # A rule of that name may stand earlier, where others overrule it: what all of them say together moves along.
        pattern = glob.escape(name)
        everything = asdict(settings.of(name)) if rules.pop(pattern, None) else {}
        rules[pattern] = {**everything, "weight_bits": width}
    return Settings(rules)


def _checked(loss: float, when: str) -> float:
    """The loss, of several processes the mean of theirs."""
    value = float(gathered(torch.tensor(float(loss), dtype=torch.float64)).mean())
    if not math.isfinite(value):
        raise ValueError(f"evaluate must give a finite number, not {value} {when}")
    return value


def _losses(model: PreparedModel, layer: Weighted, choices: Sequence[int], loss: Evaluate) -> dict[int, float]:
    """{width: loss} with the weights of `layer` alone at that width."""
    own, scale = layer.weight.bits, layer.weight.scale().clone()
    result = {}
    try:
        for width in choices:
            layer.weight.bits = width
            layer.weight.settle(layer.folded(model)[0])
            result[width] = _checked(loss(model), f"with {width} bits in layer {layer.name!r}")
    finally:
        layer.weight.bits = own
        layer.weight.scale.set(scale)
    return result


def _distance(model: PreparedModel, batches: Sequence[Mapping[str, torch.Tensor]]) -> float:
    """Mean squared distance of the model's results from the float network's."""
    total, count = 0.0, 0
    layers = model.quantizers
    shown = set(layers.results.layers.values())
    for inputs in batches:
        with full_precision(model):
            expected = {layer.name: y for layer, _, y in float_layers(model, inputs) if layer.name in shown}
        tensors = layers(inputs, Step(model))
        for name, y in expected.items():
            error = (tensors[name].real - y).double()
            total += float(error.square().sum())
            count += error.numel()
    return total / max(count, 1)
