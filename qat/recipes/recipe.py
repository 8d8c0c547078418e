"""`Recipe`: an ordered list of steps from a float model to an exported one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

# What takes a model and returns another one, or None if it has changed that one in place.
RecipeStep = Callable[[Any], nn.Module | None]


@dataclass(frozen=True)
class Recipe:
    """Steps that follow each other, each of them a function of this package with its arguments, or one of your own.

    A step takes the model first and returns a new one, or None if it has changed the model in place. Example::

        recipe = Recipe(
            partial(prune_weights, share=0.5),
            partial(factorize, energy=0.9, layers="head"),
            partial(prepare, example_inputs=images, arithmetic=arithmetic),
            partial(calibrate, batches=[images]),
            partial(train, batches=loader, epochs=5, distillation=Distillation(teacher=model)),
            partial(export_onnx, path="model.onnx"),
        )
        quantized = recipe(model)

    The model that it is called with stays as it is: the steps work on a copy. An error bears a note that says in which
    step it happened. Raises ``TypeError`` for a step that cannot be called or that gives something else than a model.
    """

    steps: tuple[RecipeStep, ...]

    def __init__(self, *steps: RecipeStep) -> None:
        for number, step in enumerate(steps, 1):
            if not callable(step):
                raise TypeError(f"step {number} of a recipe must be a function of a model, not {step!r}")
        object.__setattr__(self, "steps", steps)

    def __call__(self, model: nn.Module) -> nn.Module:
        """What the last step leaves of `model`."""
        current = copy.deepcopy(model)
        for number, step in enumerate(self.steps, 1):
            where = f"step {number} ({step_name(step)}) of the recipe"
            try:
                result = step(current)
            except Exception as error:
                error.add_note(f"in {where}")
                raise
            if result is not None and not isinstance(result, nn.Module):
                raise TypeError(f"{where} must give a model or None, not {type(result).__name__}")
            current = current if result is None else result
        return current


def step_name(step: RecipeStep) -> str:
    """The name of the function, whatever arguments it has already."""
    while isinstance(step, partial):
        step = step.func
    return getattr(step, "__name__", type(step).__name__)
