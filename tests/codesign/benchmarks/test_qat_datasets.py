"""The rows of local data sets, from the folder to the figures, on small ones in the published formats."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codesign.benchmarks.qat_datasets import DATASETS, SHIFT, rows, shifted
from codesign.datasets import KEYWORDS
from tests.codesign.datasets.writers import write_cifar10, write_mnist, write_speech_commands

CLASSES = 3  # of the ten, which leaves the networks little to learn


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mnist(folder: Path) -> None:
    """Stripes from left to right, stripes from top to bottom, and plain paper, with noise."""
    noise = random.Random(1)

    def pixel(label: int, y: int, x: int) -> int:
        return (y % 2, x % 2, 0)[label] * 200 + noise.randrange(50)

    for prefix, count in (("train", 96), ("t10k", 30)):
        labels = [index % CLASSES for index in range(count)]
        images = [bytes(pixel(label, y, x) for y in range(28) for x in range(28)) for label in labels]
        write_mnist(folder, prefix, images, labels, packed=prefix == "train")


def cifar10(folder: Path) -> None:
    """Red, green and blue."""
    noise = random.Random(2)

    def record(label: int) -> tuple[int, bytes]:
        return label, bytes((plane == label) * 200 + noise.randrange(50) for plane in range(3) for _ in range(1024))

    names = (*(f"data_batch_{index}.bin" for index in range(1, 6)), "test_batch.bin")
    write_cifar10(folder, {name: [record(index % CLASSES) for index in range(18)] for name in names})


def speech_commands(folder: Path) -> None:
    """Words are tones; the folders of the other words are empty."""
    noise = random.Random(3)
    clips = {}
    for label, word in enumerate(KEYWORDS[:CLASSES]):
        for clip in range(16):
            step = 2 * math.pi * 400 * (1 + 3 * label) / 16_000
            samples = [int(8000 * math.sin(step * time)) + noise.randint(-500, 500) for time in range(4000)]
            clips[f"{word}/{clip}.wav"] = samples
    for word in KEYWORDS:
        (folder / word).mkdir()
    names = [[f"{word}/{clip}.wav" for word in KEYWORDS[:CLASSES]] for clip in (6, 7)]
    write_speech_commands(folder, clips, *names)


@pytest.mark.parametrize(
    ("name", "write", "shape", "epochs"),
    [
        ("mnist", mnist, (96, 1, 28, 28), 8),
        ("cifar10", cifar10, (90, 3, 32, 32), 8),
        ("speech_commands", speech_commands, (42, 1, 49, 10), 16),
    ],
)
def test_from_the_folder_to_the_rows(
    name: str, write: Callable[[Path], None], shape: tuple[int, ...], epochs: int, tmp_path: Path
) -> None:
    write(tmp_path)
    dataset = replace(DATASETS[name], float_epochs=epochs, qat_epochs=2, batch=16)
    data = dataset.load(tmp_path)
    assert data.train_inputs.shape == shape and data.train_inputs.dtype == torch.float32
    if name == "speech_commands":
        assert data.train_inputs.mean((0, 1, 2)).abs().max() < 1e-4
        assert (data.train_inputs.std((0, 1, 2), correction=0) - 1).abs().max() < 1e-4
    else:
        assert float(data.test_inputs.min()) >= 0 and 0.9 < float(data.test_inputs.max()) <= 1
    table = rows(dataset, data)
    assert [row["name"] for row in table] == [
        f"{dataset.title}, {what}" for what in ("float: accuracy", "W8A8: accuracy lost", "W4A4: accuracy lost")
    ]
    assert table[0]["value"] > 90  # a third without learning
    assert table[1]["value"] < 10 and table[1]["holds"] == (table[1]["value"] <= 0.3)
    assert table[0]["target"] is None and table[2]["target"] == "≤ 1.5"


def test_fewer_inputs_than_a_batch(tmp_path: Path) -> None:
    write_mnist(tmp_path, "train", [bytes(784)] * 3, [0, 1, 2], packed=False)
    write_mnist(tmp_path, "t10k", [bytes([255] * 784)], [1], packed=False)
    dataset = replace(DATASETS["mnist"], float_epochs=1, qat_epochs=1)
    table = rows(dataset, dataset.load(tmp_path))
    assert len(table) == 3 and table[0]["value"] in (0, 100)


def test_images_are_moved_and_mirrored_whole() -> None:
    images = torch.arange(1.0, 1 + 3 * 2 * 6 * 5).reshape(3, 2, 6, 5).repeat(40, 1, 1, 1)
    moved = shifted(images, torch.Generator().manual_seed(1))
    assert moved.shape == images.shape
    seen = set()
    for before, after in zip(images, moved, strict=True):
        matches = []
        for down in range(-SHIFT, SHIFT + 1):
            for right in range(-SHIFT, SHIFT + 1):
                expected = torch.zeros_like(before)
                lines, columns = range(max(0, -down), min(6, 6 - down)), range(max(0, -right), min(5, 5 - right))
                for y in lines:
                    for x in columns:
                        expected[:, y, x] = before[:, y + down, x + right]
                matches += [
                    (down, right, flip) for flip in (0, 1) if after.equal(expected.flip(2) if flip else expected)
                ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {down for down, _, _ in seen} == {right for _, right, _ in seen} == set(range(-SHIFT, SHIFT + 1))
    assert {flip for _, _, flip in seen} == {0, 1}


def test_the_networks() -> None:
    for dataset, shape in zip(DATASETS.values(), ((1, 28, 28), (3, 32, 32), (1, 49, 10)), strict=True):
        assert dataset.network().eval()(torch.zeros(2, *shape)).shape == (2, 10)
