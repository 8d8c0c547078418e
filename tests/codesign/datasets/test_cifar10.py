"""CIFAR-10's binary files: what is read is what was written; what is damaged is named; nothing is unpickled."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.datasets import load_cifar10
from tests.codesign.datasets.writers import CIFAR_CLASSES, random_bytes, write_cifar10

TRAIN = [f"data_batch_{index}.bin" for index in range(1, 6)]
WANTED = (
    "CIFAR-10's 'train' split is read from the binary version's data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, "
    "data_batch_4.bin, data_batch_5.bin and batches.meta.txt"
)
RECORDS = {
    name: [((3 * batch + i) % 10, random_bytes(10 * batch + i, 3072)) for i in range(1 + batch % 3)]
    for batch, name in enumerate([*TRAIN, "test_batch.bin"])
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_cifar10(tmp_path, RECORDS)
    return tmp_path


def refused(folder: Path, sentence: str, error: type[Exception] = ValueError, split: str = "train") -> None:
    with pytest.raises(error, match=re.escape(sentence)) as raised:
        load_cifar10(folder, split)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("split", "names"), [("train", TRAIN), ("test", ["test_batch.bin"])])
def test_reads_what_is_written(folder: Path, split: str, names: list[str]) -> None:
    written = [record for name in names for record in RECORDS[name]]
    found = load_cifar10(folder, split)
    assert found.classes == CIFAR_CLASSES
    assert (found.inputs.dtype, found.inputs.shape) == (np.uint8, (len(written), 3, 32, 32))
    assert found.labels.dtype == np.int64 and found.labels.tolist() == [label for label, _ in written]
    for image, (_, pixels) in zip(found.inputs, written, strict=True):
        for channel in range(3):
            for row in range(32):
                first = 1024 * channel + 32 * row
                assert image[channel, row].tolist() == list(pixels[first : first + 32])
    assert torch.from_numpy(found.inputs).shape[1:] == (3, 32, 32)  # warns, which is an error here, if it is read-only


def test_split(folder: Path) -> None:
    refused(folder, "split must be 'train' or 'test', not 'validation'", split="validation")


@pytest.mark.parametrize("name", [TRAIN[0], TRAIN[4], "batches.meta.txt"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, f"there is no file {name} in this folder; {WANTED}", FileNotFoundError)


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "absent", f"there is no such folder; {WANTED}", FileNotFoundError)


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
def test_the_python_version_is_not_unpickled(tmp_path: Path, name: str) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "it ran",)

    (tmp_path / name).write_bytes(pickle.dumps(Touch()))
    reason = "holds CIFAR-10's Python version, pickled files, which can run any code when they are read"
    refused(tmp_path, f"{reason}; {WANTED}", FileNotFoundError)
    assert not (tmp_path / "it ran").exists()


def test_both_versions_side_by_side(folder: Path) -> None:
    (folder / "data_batch_1").write_bytes(b"pickled")
    assert len(load_cifar10(folder, "test").labels) == len(RECORDS["test_batch.bin"])


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_a_size_that_is_no_number_of_images(folder: Path, size: int) -> None:
    (folder / TRAIN[2]).write_bytes(bytes(size))
    refused(folder, f"{folder / TRAIN[2]}: must have 3073 bytes for each image, not {size} in all")


def test_a_file_that_is_too_long_is_not_read(folder: Path) -> None:
    with (folder / TRAIN[1]).open("wb") as stream:
        stream.truncate(1 << 40)  # a hole, of no blocks
    refused(folder, f"{folder / TRAIN[1]}: must have at most 30730000 bytes, not {1 << 40}")


def test_the_published_size(folder: Path) -> None:
    with (folder / "test_batch.bin").open("wb") as stream:
        stream.truncate(30_730_000)
    assert load_cifar10(folder, "test").inputs.shape == (10_000, 3, 32, 32)


def test_a_label_that_is_no_class(folder: Path) -> None:
    (folder / TRAIN[3]).write_bytes(bytes(3073) + bytes([11]) + bytes(3072))
    refused(folder, f"{folder / TRAIN[3]}: labels must be 0 to 9, not 11")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n".join(CIFAR_CLASSES[:9]),
        "\n".join([*CIFAR_CLASSES, "eleventh"]),
        "\n".join([*CIFAR_CLASSES, "cat"]),
        "cat\n" * 10,
        "é\n" * 10,
    ],
)
def test_class_names(folder: Path, text: str) -> None:
    file = folder / "batches.meta.txt"
    file.write_text(text, encoding="utf-8")
    refused(folder, f"{file}: must have the names of the 10 classes in ASCII, one a line")
    file.write_text("x" * 4097)
    refused(folder, f"{file}: must have at most 4096 bytes, not 4097")
