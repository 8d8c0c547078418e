"""Training classifiers: the loop, what a recipe says, and one network quantized or trained for one arithmetic."""

from __future__ import annotations

from .fit import Augment, OnStep, accuracy, answers, fit, one_thread
from .point import TrainedPoint, train_float, train_point
from .recipe import KINDS, TrainingRecipe
from .state import load_state, state_bytes

__all__ = [
    "KINDS",
    "Augment",
    "OnStep",
    "TrainedPoint",
    "TrainingRecipe",
    "accuracy",
    "answers",
    "fit",
    "load_state",
    "one_thread",
    "state_bytes",
    "train_float",
    "train_point",
]
