"""One network for one arithmetic: trained in float, then made ready as a recipe says, always with the same bits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic

from ..datasets import Dataset
from .fit import OnStep, accuracy, fit, one_thread
from .recipe import TrainingRecipe
from .state import load_state, state_bytes

WEIGHT_DECAY = 1e-4
"""Of the float network."""
BEFORE = {"fitted": "ptq", "qat": "fitted"}
"""Kind of recipe → the kind whose model it begins with."""


class TrainedPoint(NamedTuple):
    """A prepared model in eval mode; shares of the validation data, 0 to 1, that float network and model get right."""

    model: qat.PreparedModel
    float_accuracy: float
    validation_accuracy: float


def train_float(
    network: nn.Module | Callable[[], nn.Module],
    dataset: Dataset,
    recipe: TrainingRecipe,
    seed: int | None = None,
    *,
    on_step: OnStep | None = None,
) -> bytes:
    """The parameters and buffers (`state_bytes`) of the float network, which depend on `recipe.float_part()` alone.

    network : a module, which is copied and trained on from its parameters; or what makes one when it is called, whose
    random parameters are then the seed's
    seed : instead of the recipe's
    on_step : called after every step with (steps done, steps in all)

    One torch thread, the seed, and no other state of the process: on one processor the bits are always the same,
    whatever ran before or runs beside it. Processors with other vector instructions may round sums otherwise.
    """
    recipe = _seeded(recipe, seed)
    with _reproducible(recipe.seed):
        model = _made(network)
        optimizer = torch.optim.Adam(model.parameters(), lr=recipe.float_learning_rate, weight_decay=WEIGHT_DECAY)
        fit(
            model, optimizer, torch.from_numpy(dataset.train_inputs), torch.from_numpy(dataset.train_labels),
            batch=recipe.batch, epochs=recipe.float_epochs, seed=recipe.seed, on_step=on_step,
        )  # fmt: skip
        return state_bytes(model)


def train_point(
    network: nn.Module | Callable[[], nn.Module],
    dataset: Dataset,
    arithmetic: Arithmetic,
    recipe: TrainingRecipe,
    seed: int | None = None,
    settings: qat.Settings | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    float_state: bytes | None = None,
    before: qat.PreparedModel | None = None,
    on_step: OnStep | None = None,
) -> TrainedPoint:
    """The network, made ready for `arithmetic` as `recipe` says, with its accuracy on the validation data.

    network, seed, on_step : as for `train_float`
    settings : of layers, as for `qat.prepare`
    float_state : what `train_float` gave for this network, data and `recipe.float_part()`; None: it is trained here
    before : the model that the kind before this one (`BEFORE`) has given, all else being the same; it is copied, and
    saves making it once more

    The bits are as reproducible as those of `train_float`. Test data play no part. Raises ``ValueError`` for settings
    that do not fit the network, and a state that is not its own.
    """
    recipe = _seeded(recipe, seed)
    if float_state is None:
        float_state = train_float(network, dataset, recipe, on_step=on_step)
    with _reproducible(recipe.seed):
        model = _made(network).eval()
        load_state(model, float_state, "float_state")
        inputs, labels = torch.from_numpy(dataset.train_inputs), torch.from_numpy(dataset.train_labels)
        prepared = quantized(model, inputs, arithmetic, recipe, settings, before)
        if recipe.kind == "qat":
            teacher = qat.Distillation(teacher=model, weight=recipe.distillation) if recipe.distillation else None
            optimizer = torch.optim.Adam(prepared.parameters(), lr=recipe.learning_rate)
            fit(
                prepared, optimizer, inputs, labels, batch=recipe.batch, epochs=recipe.epochs, seed=recipe.seed,
                distillation=teacher, on_step=on_step,
            )  # fmt: skip
        held = torch.from_numpy(dataset.validation_inputs), torch.from_numpy(dataset.validation_labels)
        return TrainedPoint(prepared.eval(), accuracy(model, *held), accuracy(prepared, *held))


def quantized(
    model: nn.Module,
    inputs: Tensor,
    arithmetic: Arithmetic,
    recipe: TrainingRecipe,
    settings: qat.Settings | Mapping[str, Mapping[str, Any]] | None = None,
    before: qat.PreparedModel | None = None,
) -> qat.PreparedModel:
    """`model`, in float, after the post-training quantization with which the recipe's kind begins, or which it is.

    inputs : (n, …), of the training data; the first `recipe.calibration` of them are looked at
    before : as for `train_point`; ``ValueError`` for a kind that begins with no other's model
    """
    batches = inputs[: recipe.calibration].split(recipe.batch)
    if before is not None:
        if recipe.kind not in BEFORE:
            raise ValueError(f"before must be None for the kind {recipe.kind!r}, which begins with no other's model")
        prepared = copy.deepcopy(before)
        if recipe.kind == "fitted":
            qat.fit_accumulator(prepared, batches)
        return prepared
    best = recipe.kind == "adaround"
    if best:  # few bits want weight scales of least squared error; rules for layers are over this one
        rules = settings.rules if isinstance(settings, qat.Settings) else settings or {}
        settings = {"**": {"weight_observer": "mse"}, **rules}
    prepared = qat.prepare(model, (batches[0],), arithmetic, settings=settings)
    adaround = qat.AdaRound(seed=recipe.seed) if best else False
    qat.calibrate(prepared, batches, equalize=best, bias_correction=best, adaround=adaround)
    if recipe.kind in ("fitted", "qat"):
        qat.fit_accumulator(prepared, batches)
    return prepared


def _seeded(recipe: TrainingRecipe, seed: int | None) -> TrainingRecipe:
    return recipe if seed is None else replace(recipe, seed=seed)


def _made(network: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    return copy.deepcopy(network) if isinstance(network, nn.Module) else network()


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread, and torch's generator at `seed`; both are afterwards as they were."""
    with one_thread(), torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield
