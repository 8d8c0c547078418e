"""CIFAR-10's small photographs, from the binary version of the data set."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .folder import Split, check_labels, check_split, find_files, listed, read_file

FILES = {"train": tuple(f"data_batch_{index}.bin" for index in range(1, 6)), "test": ("test_batch.bin",)}
CLASS_FILE = "batches.meta.txt"
CLASSES = 10
IMAGE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
"""A label, then the red, the green and the blue plane, each row by row."""
MAX_BATCH = 10_000
MAX_CLASS_FILE_BYTES = 4096
PICKLES = ("batches.meta", "test_batch", *(f"data_batch_{index}" for index in range(1, 6)))


def load_cifar10(folder: str | PathLike[str], split: str) -> Split:
    """The images and labels of `split`, 'train' (50 000, of five files) or 'test' (10 000), in the files' order.

    inputs : uint8 (n, 3, 32, 32), planes red, green, blue, 0 to 255
    folder : cifar-10-batches-bin, with the split's files of `FILES` and `CLASS_FILE`
    Raises ``FileNotFoundError`` listing the files expected where one is missing or where the folder holds the Python
    version, and ``ValueError`` naming a file of another size or content. Sizes are checked before anything is
    allocated. Format: "Binary version", cs.toronto.edu/~kriz/cifar.html.
    """
    check_split(split, tuple(FILES))
    names = (*FILES[split], CLASS_FILE)
    wanted = f"CIFAR-10's {split!r} split is read from the binary version's {listed(names)}"
    root = Path(folder)
    if not (root / names[0]).is_file() and any((root / pickle).is_file() for pickle in PICKLES):
        reason = "holds CIFAR-10's Python version, pickled files, which can run any code when they are read"
        raise FileNotFoundError(2, f"{reason}; {wanted}", str(root))
    *batches, class_file = find_files(root, names, wanted)
    classes = _read_classes(class_file)
    images, labels = zip(*map(_read_batch, batches), strict=True)
    return Split(np.concatenate(images), np.concatenate(labels), classes)


def _read_batch(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = read_file(file, MAX_BATCH * RECORD_BYTES)
    count, rest = divmod(len(data), RECORD_BYTES)
    if not count or rest:
        raise ValueError(f"{file}: must have {RECORD_BYTES} bytes for each image, not {len(data)} in all")
    records = np.frombuffer(data, np.uint8).reshape(count, RECORD_BYTES)
    return records[:, 1:].reshape(count, *IMAGE), check_labels(records[:, 0], CLASSES, file)


def _read_classes(file: Path) -> tuple[str, ...]:
    text = read_file(file, MAX_CLASS_FILE_BYTES).decode("ascii", errors="replace")
    classes = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(set(classes)) != CLASSES or len(classes) != CLASSES or not text.isascii():
        raise ValueError(f"{file}: must have the names of the {CLASSES} classes in ASCII, one a line")
    return classes
