"""scikit-learn's handwritten digits: the demo's split, its small network, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import qat
from emulator import Arithmetic

from .datasets.networks import digits8_network
from .training import fit as training
from .training.fit import OnStep, one_thread

TEST_IMAGES = 360
SEED = 0
BATCH = 64
FLOAT_EPOCHS = 20
QAT_EPOCHS = 15
GUARANTEED_BITS = 4
"""Of activations in the guaranteed mode; chosen inside the training images: see `benchmarks.qat_choice`."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Images float32 (n, 1, 8, 8) from 0 to 1, labels int64 (n,) from 0 to 9; 1437 to train with, 360 to test with."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load() -> Digits:
    """The fixed split, stratified over the ten digits."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        (images / 16).astype(np.float32).reshape(-1, 1, 8, 8),
        labels.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=labels,
        random_state=SEED,
    )
    train_images, test_images, train_labels, test_labels = (torch.from_numpy(part) for part in split)
    return Digits(train_images, train_labels, test_images, test_labels)


def answers(model: nn.Module, images: Tensor) -> Tensor:
    """The digit that `model` reads in each image, int64 (n,), in eval mode."""
    with one_thread():
        return training.answers(model, images)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that `model` gets right, 0 to 1, in eval mode."""
    with one_thread():
        return training.accuracy(model, images, labels)


def train_float(
    data: Digits, *, epochs: int = FLOAT_EPOCHS, seed: int = SEED, on_step: OnStep | None = None
) -> nn.Sequential:
    """The float network, trained from scratch.

    on_step : called after every step with (steps done, steps in all)
    """
    torch.manual_seed(seed)
    model = digits8_network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    _train(model, optimizer, data, epochs, seed, on_step)
    return model


def calibrated(
    model: nn.Module, data: Digits, arithmetic: Arithmetic, activation_bits: int | None = None
) -> qat.PreparedModel:
    """Min-max post-training quantization of `model` for `arithmetic`, with the training images.

    activation_bits : of the input and of all layers but the last, whose codes tell the digits apart; None for the
    arithmetic's
    """
    settings = {"*": {"activation_bits": activation_bits}, "head": {"activation_bits": None}}
    with one_thread():
        prepared = qat.prepare(model, (data.train_images[:BATCH],), arithmetic, settings=settings)
        qat.calibrate(prepared, data.train_images.split(BATCH))
    return prepared


def fitted(model: nn.Module, data: Digits, arithmetic: Arithmetic) -> qat.PreparedModel:
    """`calibrated`, then scales raised until the sums on the training images fit the accumulator; no training."""
    prepared = calibrated(model, data, arithmetic)
    with one_thread():
        qat.fit_accumulator(prepared, data.train_images.split(BATCH))
    return prepared


def train_qat(
    model: nn.Module,
    data: Digits,
    arithmetic: Arithmetic,
    *,
    epochs: int = QAT_EPOCHS,
    learning_rate: float = 3e-3,
    distillation: float = 0.0,
    seed: int = SEED,
    on_step: OnStep | None = None,
) -> qat.PreparedModel:
    """Quantization-aware training for `arithmetic`: `fitted`, then trained through the accumulator.

    distillation : weight in the loss of `model`'s own answers, 0 to 1; the labels' is the rest
    on_step : called after every step with (steps done, steps in all)
    """
    torch.manual_seed(seed)
    prepared = fitted(model, data, arithmetic)
    optimizer = torch.optim.Adam(prepared.parameters(), lr=learning_rate)
    teacher = qat.Distillation(teacher=model, weight=distillation) if distillation else None
    _train(prepared, optimizer, data, epochs, seed, on_step, teacher)
    return prepared


def train_guaranteed(
    model: nn.Module,
    data: Digits,
    arithmetic: Arithmetic,
    *,
    activation_bits: int | None = GUARANTEED_BITS,
    center: bool = False,
    epochs: int = QAT_EPOCHS,
    learning_rate: float = 3e-3,
    seed: int = SEED,
    on_step: OnStep | None = None,
) -> qat.PreparedModel:
    """Quantization-aware training with weights that no input makes overflow (`qat.guarantee`), from `calibrated`.

    activation_bits : as for `calibrated`; fewer of them leave more of the accumulator to the weights
    on_step : called after every step with (steps done, steps in all)
    """
    torch.manual_seed(seed)
    prepared = calibrated(model, data, arithmetic, activation_bits)
    with one_thread():
        qat.guarantee(prepared, center=center)
    optimizer = torch.optim.Adam(prepared.parameters(), lr=learning_rate)
    _train(prepared, optimizer, data, epochs, seed, on_step)
    return prepared


def _train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Digits,
    epochs: int,
    seed: int,
    on_step: OnStep | None,
    distillation: qat.Distillation | None = None,
) -> None:
    with one_thread():
        training.fit(
            model, optimizer, data.train_images, data.train_labels, batch=BATCH, epochs=epochs, seed=seed,
            distillation=distillation, on_step=on_step,
        )  # fmt: skip
