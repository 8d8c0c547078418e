"""Shoulder exercises as a smartwatch's accelerometer and gyroscope saw them, which the package seglearn has in it."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .folder import Split, check_split
from .packaged import read_packaged

PEOPLE = {"train": (1, 2, 3, 4, 5, 6), "validation": (7, 8), "test": (9, 10)}
"""Who is in which split: a network is tested on people whom it has never seen. Each does every exercise twice."""
WINDOW, STEP = 128, 64
"""Samples of a window, 2.56 s at 50 Hz, and of one from the next: half of a window, as in UCI's HAR data."""
CLASSES = ("pendulum", "abduction", "forward elevation", "internal rotation", "external rotation", "trapezius", "row")
CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")
FILE = "data/watch_dataset.npy"
MAX_BYTES = 32 << 20
SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"


def load_watch(split: str) -> Split:
    """The windows of `split`, 'train' (2 055), 'validation' (777) or 'test' (773), in the recordings' order.

    inputs : float32 (n, 6, 128), acceleration (g) and angular velocity (rad/s) along three axes, 50 Hz
    Raises ``ModuleNotFoundError`` where seglearn is not installed, and ``ValueError`` where its file is another one.

    Source: Burns et al., "Shoulder physiotherapy exercise recognition: machine learning the inertial signals from a
    smartwatch" (2018), arxiv.org/abs/1802.01489, of which these are ten people.
    """
    check_split(split, tuple(PEOPLE))
    data = _read()
    inputs, labels = [], []
    for recording, label, person in zip(data["X"], data["y"], data["subject"], strict=True):
        if person in PEOPLE[split]:
            windows = np.lib.stride_tricks.sliding_window_view(recording, WINDOW, axis=0)[::STEP]
            inputs.append(windows.astype(np.float32))
            labels.append(np.full(len(windows), label, np.int64))
    return Split(np.concatenate(inputs), np.concatenate(labels), CLASSES)


def _read() -> dict[str, NDArray[Any]]:
    content = read_packaged("seglearn", FILE, MAX_BYTES)
    # The file is a pickle, which can run any code when it is read: this very one is known to hold arrays only.
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"seglearn's {FILE} must be the file of seglearn 1.2.5: its SHA-256 differs")
    data: dict[str, NDArray[Any]] = np.load(io.BytesIO(content), allow_pickle=True).item()
    return data
