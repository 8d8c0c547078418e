"""MNIST's handwritten digits, and any data set in the same four IDX files, such as Fashion-MNIST."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .folder import Split, check_labels, check_split, find_files, listed

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASSES = tuple("0123456789")
SIZE = (28, 28)
MAX_ITEMS = 1 << 20
"""Most images or labels of a file."""
UNSIGNED_BYTES = 0x08
"""IDX's type code of uint8, the third byte of a file."""
DEFLATE_RATIO = 1032
"""Most bytes that one byte of a gzip file can stand for (zlib's technical details, "Maximum compression factor")."""


def load_mnist(folder: str | PathLike[str], split: str) -> Split:
    """The images and labels of `split`, 'train' (60 000 in MNIST) or 'test' (10 000), in the files' order.

    inputs : uint8 (n, 1, 28, 28), 0 background to 255 ink
    folder : holds the split's two files of `FILES`, as they are or gzipped with the suffix .gz
    Raises ``FileNotFoundError`` listing the files expected where one is missing, and ``ValueError`` naming a file that
    is not what its name says. Sizes are checked before anything is allocated. Format: "THE IDX FILE FORMAT",
    yann.lecun.com/exdb/mnist.
    """
    check_split(split, tuple(FILES))
    wanted = f"MNIST's {split!r} split is read from {listed(FILES[split])}, as they are or with .gz"
    image_file, label_file = find_files(folder, FILES[split], wanted, ("", ".gz"))
    images, labels = _read_idx(image_file, SIZE), _read_idx(label_file, ())
    if len(images) != len(labels):
        raise ValueError(f"{label_file}: must have a label for each of the {len(images)} images, not {len(labels)}")
    return Split(images[:, np.newaxis], check_labels(labels, len(CLASSES), label_file), CLASSES)


def _read_idx(file: Path, item: tuple[int, ...]) -> NDArray[np.uint8]:
    """The uint8 array (n, *item) of an IDX file."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            return _read_array(stream, file, item)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: is not a gzip file, or it is damaged: {error}") from None


def _read_array(stream: io.BufferedIOBase, file: Path, item: tuple[int, ...]) -> NDArray[np.uint8]:
    rank = 1 + len(item)
    magic = bytes([0, 0, UNSIGNED_BYTES, rank])
    header = stream.read(len(magic) + 4 * rank)
    if len(header) < len(magic) + 4 * rank:
        raise ValueError(f"{file}: is too short for the header of an IDX file")
    if not header.startswith(magic):
        raise ValueError(f"{file}: must begin with the bytes {magic.hex()}, not {header[:4].hex()}")
    count, *shape = struct.unpack_from(f">{rank}I", header, len(magic))
    if tuple(shape) != item:
        raise ValueError(f"{file}: images must have {_times(item)} pixels, not {_times(shape)}")
    if not 1 <= count <= MAX_ITEMS:
        raise ValueError(f"{file}: must hold 1 to {MAX_ITEMS} images or labels, not {count}")
    needed, size = count * math.prod(item), file.stat().st_size
    asks = f"{file}: its header asks for {needed} bytes of data"
    if file.suffix != ".gz" and needed != size - len(header):
        raise ValueError(f"{asks}, the file has {size - len(header)}")
    if needed > size * DEFLATE_RATIO:
        raise ValueError(f"{asks}, more than a gzip file of {size} bytes can have")
    data = stream.read(needed + 1)  # to the end, where gzip checks its sum
    if len(data) != needed:
        raise ValueError(f"{asks}, the file has {'more' if len(data) > needed else len(data)}")
    return np.frombuffer(data, np.uint8).reshape(count, *item).copy()  # writable, as torch wants it


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
