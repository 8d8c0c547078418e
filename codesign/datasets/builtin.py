"""The data sets that installed packages bring along, under the names by which a study asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Split, listed, stratified
from .mnist import CLASSES
from .mnist5k import mnist5k_splits
from .watch import load_watch

DIGITS8_TEST, DIGITS8_VALIDATION = 360, 287


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test data of a classification, as a network takes them; always the same for a name.

    train_inputs, validation_inputs, test_inputs : float32 (n, …)
    train_labels, validation_labels, test_labels : int64 (n,), from 0 to len(classes) - 1
    classes : the labels' names

    Whatever is chosen (a recipe, a design) is chosen on validation data; test data are for what was chosen.
    """

    train_inputs: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    validation_inputs: NDArray[np.float32]
    validation_labels: NDArray[np.int64]
    test_inputs: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]


def dataset(train: Split, validation: Split, test: Split, scale: Callable[[NDArray[Any]], NDArray[Any]]) -> Dataset:
    """A `Dataset` of three splits; scale : from what the loader gives to what the network takes."""
    parts: list[NDArray[Any]] = []
    for split in (train, validation, test):
        parts += [scale(split.inputs).astype(np.float32), split.labels]
    return Dataset(*parts, classes=train.classes)


def digits8() -> Dataset:
    """scikit-learn's digits, (1, 8, 8) from 0 to 1: 1 150 to train with, 287 to choose by, 360 to test with.

    The test images are those of `codesign.digits`, the others its training images.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 1, 8, 8), labels.astype(np.int64)
    parts = stratified(labels, DIGITS8_VALIDATION, DIGITS8_TEST)
    splits = (Split(images[part], labels[part], CLASSES) for part in parts)
    return dataset(*splits, lambda pixels: pixels / 16)


def digits28() -> Dataset:
    """5 000 of MNIST's digits, (1, 28, 28) from 0 to 1: see `load_mnist5k`."""
    splits = mnist5k_splits()
    return dataset(splits["train"], splits["validation"], splits["test"], lambda pixels: pixels / np.float32(255))


def watch() -> Dataset:
    """Exercises seen by a smartwatch, (6, 128), each channel standardized by the training data: see `load_watch`."""
    train, *others = (load_watch(split) for split in ("train", "validation", "test"))
    mean, deviation = (f(train.inputs, axis=(0, 2), keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    return dataset(train, *others, lambda windows: (windows - mean) / deviation)


BUILTIN: dict[str, Callable[[], Dataset]] = {"digits8": digits8, "digits28": digits28, "watch": watch}
"""{name: loader}; none of them needs a download or a folder."""


def load_builtin(name: str) -> Dataset:
    """The built-in data set `name`; raises ``ValueError`` for a name that is none of `BUILTIN`."""
    if name not in BUILTIN:
        raise ValueError(f"the data set must be {listed(map(repr, BUILTIN), 'or')}, not {name!r}")
    return BUILTIN[name]()
