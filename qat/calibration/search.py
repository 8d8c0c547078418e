"""Mixed precision: which tensors can do with fewer bits, by a sensitivity search under size budgets."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import Tensor

from emulator.arithmetic import check_integer

from ..distributed import gathered
from ..layers.layer import Step
from ..model import PreparedModel, check_prepared, evaluating
from ..scales.settings import Settings
from .calibrate import calibrate, set_scales
from .float_pass import Batches, float_layers, full_precision, inputs_of
from .sizes import Stored, stored_activations, stored_weights

Evaluate = Callable[[PreparedModel], float]
State = dict[str, Tensor]
Inputs = Sequence[Mapping[str, Tensor]]
Choices = Mapping[Stored, Sequence[int]]
Losses = dict[Stored, dict[int, float]]


def search_bits(
    model: PreparedModel,
    batches: Batches,
    evaluate: Evaluate | None,
    budget_bytes: int,
    *,
    activation_bytes: int | None = None,
    bits: Sequence[int] = (2, 3, 4, 5, 6, 7, 8),
) -> Settings:
    """The model's settings with bits per layer, with which the weights fit a budget, and the activations another one.

    batches : as for `calibrate`, which is called with them and changes the model's scales
    evaluate : the loss of a model in eval mode, lower is better; None for the mean squared distance of its output from
    the float network's on `batches`; all of them are kept in memory
    budget_bytes : for all weights' codes, each layer's packed to whole bytes (see `weight_bytes`)
    activation_bytes : for one sample's codes of all inputs and results (see the function of that name), in the first
    batch's shapes; None leaves their bits alone
    bits : the widths to choose from, 2–8; only those that a layer's rules and the arithmetic allow are tried

    The sensitivity of a tensor at a width is the loss with it alone at that width, its scale calibrated anew. Then,
    while the weights are too large, the layer and width with the least growth of the loss per byte saved is taken; so
    it is with the activations. The losses are taken to add up, so neither budget changes the choice for the other, and
    among equal ones the first layer and the widest width come first. It is a start for training or for `calibrate`
    with its options, not an optimum. Use the result with `prepare`. Raises ``ValueError`` where even the smallest
    widths do not fit.
    """
    check_prepared(model)
    if evaluate is not None and not callable(evaluate):
        raise TypeError(f"evaluate must be a function of a model or None, not {evaluate!r}")
    check_integer("budget_bytes", budget_bytes, 1, 1 << 62)
    if activation_bytes is not None:
        check_integer("activation_bytes", activation_bytes, 1, 1 << 62)
    for width in bits:
        check_integer("bits", width, 2, 8)
    batches = list(batches)
    with evaluating(model), torch.no_grad():
        inputs = list(inputs_of(model, batches))
    groups = [("budget_bytes", budget_bytes, stored_weights(model))]
    if activation_bytes is not None:
        groups.append(("activation_bytes", activation_bytes, stored_activations(model, inputs[0])))
    choices = {
        stored: sorted({width for width in bits if width < stored.quantizer.bits}, reverse=True)
        for _, _, tensors in groups
        for stored in tensors
    }
    for name, budget, tensors in groups:
        least = sum(stored.bytes(min([stored.quantizer.bits, *choices[stored]])) for stored in tensors)
        if least > budget:
            raise ValueError(f"{name} must be at least {least}, what the smallest widths take, not {budget}")
    calibrate(model, batches)
    loss = (lambda _: _distance(model, inputs)) if evaluate is None else evaluate
    with evaluating(model), torch.no_grad():
        losses = _losses(model, inputs, choices, loss)
    found: dict[str, dict[str, int]] = {}
    for _, budget, tensors in groups:
        for stored, width in _greedy({stored: losses[stored] for stored in tensors}, budget).items():
            found.setdefault(stored.name, {})[stored.field] = width
    return _with_bits(model.quantizers.settings, found)


def _losses(model: PreparedModel, inputs: Inputs, choices: Choices, loss: Evaluate) -> Losses:
    """{tensor: {width: loss with it alone at that width}}, its own width first."""
    start = _checked(loss(model), "before the search")
    states = _settled(model, inputs, choices)
    losses: Losses = {}
    for stored, widths in choices.items():
        losses[stored] = {stored.quantizer.bits: start}
        with _restoring([stored]):
            for width in widths:
                _put(stored, width, states[stored, width])
                when = f"with {stored.field} {width} in layer {stored.name!r}"
                losses[stored][width] = _checked(loss(model), when)
    return losses


def _settled(model: PreparedModel, inputs: Inputs, choices: Choices) -> dict[tuple[Stored, int], State]:
    """The states of the quantizers as they are calibrated at each width."""
    states = {}
    with _restoring(choices), full_precision(model):
        for width in sorted({width for widths in choices.values() for width in widths}):
            chosen = [stored for stored, widths in choices.items() if width in widths]
            for stored in chosen:
                stored.quantizer.bits = width
            set_scales(model, inputs)
            states.update({(stored, width): _state(stored) for stored in chosen})
    return states


def _state(stored: Stored) -> State:
    return {name: tensor.clone() for name, tensor in stored.quantizer.state_dict().items()}


def _put(stored: Stored, bits: int, state: State) -> None:
    stored.quantizer.bits = bits
    stored.quantizer.load_state_dict(state)


@contextmanager
def _restoring(tensors: Iterable[Stored]) -> Iterator[None]:
    """Their bits, scales and ranges as they were, afterwards."""
    own = [(stored, stored.quantizer.bits, _state(stored)) for stored in tensors]
    try:
        yield
    finally:
        for stored, bits, state in own:
            _put(stored, bits, state)


def _greedy(losses: Losses, budget: int) -> dict[Stored, int]:
    """The widths that differ from the tensors' own, with which all of them fit into `budget` bytes."""
    own = {stored: max(table) for stored, table in losses.items()}
    widths = dict(own)

    def saved(stored: Stored, width: int) -> int:
        return stored.bytes(widths[stored]) - stored.bytes(width)

    def price(step: tuple[Stored, int]) -> float:
        stored, width = step
        return (losses[stored][width] - losses[stored][widths[stored]]) / saved(stored, width)

    while sum(stored.bytes(width) for stored, width in widths.items()) > budget:
        steps = ((stored, width) for stored, table in losses.items() for width in table if saved(stored, width) > 0)
        stored, width = min(steps, key=price)
        widths[stored] = width
    return {stored: width for stored, width in widths.items() if width != own[stored]}


def _with_bits(settings: Settings, found: Mapping[str, Mapping[str, int]]) -> Settings:
    """`settings` with these bits, by a rule at the end for each layer."""
    rules = settings.as_dict()
    for name, widths in found.items():
        # A rule of that name may stand earlier, where others overrule it: what all of them say together moves along.
        pattern = glob.escape(name)
        everything = asdict(settings.of(name)) if rules.pop(pattern, None) else {}
        rules[pattern] = {**everything, **widths}
    return Settings(rules)


def _checked(loss: float, when: str) -> float:
    """The loss, of several processes the mean of theirs."""
    value = float(gathered(torch.tensor(float(loss), dtype=torch.float64)).mean())
    if not math.isfinite(value):
        raise ValueError(f"evaluate must give a finite number, not {value} {when}")
    return value


def _distance(model: PreparedModel, batches: Inputs) -> float:
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
