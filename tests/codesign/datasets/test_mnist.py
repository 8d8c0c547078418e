"""MNIST's IDX files: what is read is what was written; what is damaged is named."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.datasets import load_mnist
from tests.codesign.datasets.writers import idx, random_bytes, write_mnist

IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
BOTH = f"MNIST's 'train' split is read from {IMAGES} and {LABELS}, as they are or with .gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_mnist(tmp_path, "train", [random_bytes(seed, 784) for seed in range(3)], [7, 0, 9], packed=False)
    return tmp_path


def refused(folder: Path, sentence: str, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error, match=re.escape(sentence)) as raised:
        load_mnist(folder, "train")
    assert "\n" not in str(raised.value)


def gzipped(data: bytes) -> bytes:
    """A gzip file without a time: the tests' names must be those that every worker collects."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("packed", [False, True])
def test_reads_what_is_written(tmp_path: Path, packed: bool) -> None:
    train = [random_bytes(seed, 784) for seed in range(5)]
    test = [random_bytes(seed, 784) for seed in range(5, 7)]
    write_mnist(tmp_path, "train", train, [3, 1, 4, 0, 9], packed)
    write_mnist(tmp_path, "t10k", test, [2, 8], packed)
    for split, images, labels in (("train", train, [3, 1, 4, 0, 9]), ("test", test, [2, 8])):
        found = load_mnist(tmp_path, split)
        assert (found.inputs.dtype, found.inputs.shape) == (np.uint8, (len(images), 1, 28, 28))
        assert found.labels.dtype == np.int64 and found.labels.tolist() == labels
        for image, written in zip(found.inputs, images, strict=True):
            for row in range(28):
                assert image[0, row].tolist() == list(written[28 * row : 28 * row + 28])
    assert found.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_the_arrays_become_tensors(folder: Path) -> None:
    found = load_mnist(folder, "train")
    assert torch.from_numpy(found.inputs).shape == (3, 1, 28, 28)  # warns, which is an error here, if it is read-only
    assert torch.from_numpy(found.labels).dtype == torch.int64


def test_a_file_may_be_packed_or_not_each_by_itself(folder: Path) -> None:
    data = (folder / LABELS).read_bytes()
    (folder / LABELS).unlink()
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(data))
    assert load_mnist(folder, "train").labels.tolist() == [7, 0, 9]


def test_split(folder: Path) -> None:
    with pytest.raises(ValueError, match="split must be 'train' or 'test', not 'validation'"):
        load_mnist(folder, "validation")


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"there is no file {name} in this folder; {BOTH}", FileNotFoundError)
    (folder / name).mkdir()
    refused(folder, f"there is no file {name} in this folder; {BOTH}", FileNotFoundError)


def test_a_missing_folder(folder: Path) -> None:
    refused(folder / "absent", f"there is no such folder; {BOTH}", FileNotFoundError)
    refused(folder / IMAGES, f"there is no such folder; {BOTH}", FileNotFoundError)
    with pytest.raises(FileNotFoundError) as raised:
        load_mnist(folder / "absent", "train")
    assert raised.value.filename == str(folder / "absent")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        (IMAGES, b"", "is too short for the header of an IDX file"),
        (IMAGES, idx((3, 28, 28), b"")[:15], "is too short for the header of an IDX file"),
        (LABELS, idx((3,), b"")[:7], "is too short for the header of an IDX file"),
        (IMAGES, idx((3,), bytes(784)), "must begin with the bytes 00000803, not 00000801"),
        (LABELS, idx((3, 28, 28), bytes(3 * 784)), "must begin with the bytes 00000801, not 00000803"),
        (LABELS, idx((3,), bytes(12), type_code=12), "must begin with the bytes 00000801, not 00000c01"),
        (IMAGES, idx((3, 28, 32), bytes(3 * 896)), "images must have 28 × 28 pixels, not 28 × 32"),
        (IMAGES, idx((0, 28, 28), b""), "must hold 1 to 1048576 images or labels, not 0"),
        (IMAGES, idx((-1, 28, 28), b""), "must hold 1 to 1048576 images or labels, not 4294967295"),
        (IMAGES, idx((3, 28, 28), bytes(2351)), "its header asks for 2352 bytes of data, the file has 2351"),
        (IMAGES, idx((3, 28, 28), bytes(2353)), "its header asks for 2352 bytes of data, the file has 2353"),
        (IMAGES, idx((1 << 20, 28, 28), b"x"), "its header asks for 822083584 bytes of data, the file has 1"),
        (LABELS, idx((2,), bytes(2)), "must have a label for each of the 3 images, not 2"),
        (LABELS, idx((3,), bytes([1, 10, 2])), "labels must be 0 to 9, not 10"),
    ],
)
def test_a_damaged_file(folder: Path, name: str, data: bytes, sentence: str) -> None:
    (folder / name).write_bytes(data)
    refused(folder, f"{folder / name}: {sentence}")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"not packed at all", "is not a gzip file, or it is damaged: "),
        (gzipped(idx((3, 28, 28), random_bytes(0, 2352)))[:-9], "is not a gzip file, or it is damaged: "),
        (
            gzipped(idx((3, 28, 28), random_bytes(0, 2352)))[:-8] + bytes(8),
            "is not a gzip file, or it is damaged: ",
        ),
        (gzipped(idx((3, 28, 28), bytes(2351))), "its header asks for 2352 bytes of data, the file has 2351"),
        (gzipped(idx((3, 28, 28), bytes(2353))), "its header asks for 2352 bytes of data, the file has more"),
        (gzipped(idx((3, 28, 28), bytes(1 << 20))), "its header asks for 2352 bytes of data, the file has more"),
        (b"", "is too short for the header of an IDX file"),
    ],
)
def test_a_damaged_packed_file(folder: Path, data: bytes, sentence: str) -> None:
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(data)
    refused(folder, f"{folder / IMAGES}.gz: {sentence}")


def test_a_packed_file_cannot_ask_for_more_than_it_can_hold(folder: Path) -> None:
    (folder / IMAGES).unlink()
    data = gzip.compress(idx((1 << 20, 28, 28), bytes(100)))
    (folder / f"{IMAGES}.gz").write_bytes(data)
    asks = f"its header asks for 822083584 bytes of data, more than a gzip file of {len(data)} bytes can have"
    refused(folder, f"{folder / IMAGES}.gz: {asks}")


def test_blank_images_are_packed_ever_so_tightly(folder: Path) -> None:
    (folder / IMAGES).unlink()
    (folder / LABELS).unlink()
    write_mnist(folder, "train", [bytes(784)] * 3000, [5] * 3000, packed=True)
    found = load_mnist(folder, "train")
    assert found.inputs.shape == (3000, 1, 28, 28) and not found.inputs.any()
