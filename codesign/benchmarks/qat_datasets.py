"""What quantization costs in accuracy on MNIST, CIFAR-10 and Speech Commands, where a local folder holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic

from ..datasets import KEYWORDS, Split, load_cifar10, load_mnist, load_speech_commands, mfcc
from ..training.fit import Augment, accuracy, fit
from .qat_accuracy import MOST_LOST
from .qat_step import network
from .rows import row

SEED = 1
FLOAT_RATE, QAT_RATE = 1e-2, 1e-3
CALIBRATION_BATCHES = 16
SHIFT = 4  # pixels, at most, that an augmented photograph is moved by


@dataclass(frozen=True, eq=False)
class Data:
    """Inputs float32 (n, channels, height, width) and labels int64 (n,), to train and to test with."""

    train_inputs: Tensor
    train_labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class DataSet:
    """How a data set is read, and which network is trained how long.

    load : the folder → `Data`, the inputs scaled as the network takes them; network : a new one
    """

    title: str
    load: Callable[[Path], Data]
    network: Callable[[], nn.Module]
    float_epochs: int
    qat_epochs: int
    batch: int = 64
    augment: Augment | None = None


def rows(dataset: DataSet, data: Data | None) -> list[dict[str, Any]]:
    """The float network's accuracy, and the percentage points that QAT loses; "not run" without `data`.

    The settings were fixed beforehand: nothing is chosen by the test inputs.
    """
    title = dataset.title
    targets = [(bits, most, f"{title}, W{bits}A{bits}: accuracy lost") for bits, most in MOST_LOST]
    if data is None:
        return [row(name, "not run", "points", f"≤ {most}") for _, most, name in targets]
    torch.manual_seed(SEED)
    model = dataset.network()
    _train(
        model, torch.optim.Adam(model.parameters(), FLOAT_RATE, weight_decay=1e-4), dataset, data, dataset.float_epochs
    )
    reached = 100 * accuracy(model, data.test_inputs, data.test_labels)
    table = [row(f"{title}, float: accuracy", reached, "%")]
    for bits, most, name in targets:
        quantized = _quantized(model, dataset, data, bits)
        lost = reached - 100 * accuracy(quantized, data.test_inputs, data.test_labels)
        table.append(row(name, lost, "points", f"≤ {most}", lost <= most))
    return table


def _quantized(model: nn.Module, dataset: DataSet, data: Data, bits: int) -> qat.PreparedModel:
    """Calibrated and trained."""
    arithmetic = Arithmetic(weight_bits=bits, activation_bits=bits)
    prepared = qat.prepare(model, (data.train_inputs[: dataset.batch],), arithmetic)
    qat.calibrate(prepared, data.train_inputs.split(dataset.batch)[:CALIBRATION_BATCHES])
    _train(prepared, torch.optim.Adam(prepared.parameters(), QAT_RATE), dataset, data, dataset.qat_epochs)
    return prepared


def _train(model: nn.Module, optimizer: torch.optim.Optimizer, dataset: DataSet, data: Data, epochs: int) -> None:
    fit(
        model, optimizer, data.train_inputs, data.train_labels, batch=dataset.batch, epochs=epochs, seed=SEED,
        augment=dataset.augment,
    )  # fmt: skip


def read_mnist(folder: Path) -> Data:
    """Images (n, 1, 28, 28) from 0 to 1."""
    train, test = (load_mnist(folder, split) for split in ("train", "test"))
    return Data(*_images(train), *_images(test))


def read_cifar10(folder: Path) -> Data:
    """Images (n, 3, 32, 32) from 0 to 1."""
    train, test = (load_cifar10(folder, split) for split in ("train", "test"))
    return Data(*_images(train), *_images(test))


def read_speech_commands(folder: Path) -> Data:
    """MFCC (n, 1, 49, 10) of the ten keywords; over the training clips each coefficient has mean 0 and deviation 1."""
    train, test = (_features(load_speech_commands(folder, split, KEYWORDS)) for split in ("train", "test"))
    deviation, mean = torch.std_mean(train[0], (0, 1, 2), correction=0)
    scale = deviation.clamp(min=1e-6)  # of clips that are all alike
    return Data((train[0] - mean) / scale, train[1], (test[0] - mean) / scale, test[1])


def _images(split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(split.inputs).float() / 255, torch.from_numpy(split.labels)


def _features(split: Split) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(mfcc(split.inputs)), torch.from_numpy(split.labels)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `SHIFT` pixels both ways, zeros coming in, and half of them mirrored."""
    count, _, height, width = images.shape
    padded = F.pad(images, (SHIFT,) * 4)
    moves = torch.randint(0, 2 * SHIFT + 1, (count, 2), generator=generator).tolist()
    mirrored = torch.randint(0, 2, (count,), generator=generator).tolist()
    return torch.stack(
        [
            image[:, down : down + height, right : right + width].flip([2] if mirror else [])
            for image, (down, right), mirror in zip(padded, moves, mirrored, strict=True)
        ]
    )


def convolutions(*blocks: tuple[int, int, int, int, int]) -> nn.Sequential:
    """Blocks of (inputs, channels, kernel, stride, groups): convolution, BatchNorm, ReLU; a mean; ten classes."""
    layers: list[nn.Module] = []
    for inputs, channels, kernel, stride, groups in blocks:
        convolution = nn.Conv2d(inputs, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(blocks[-1][1], 10))


def mnist_network() -> nn.Sequential:
    """1×28×28 input; 3×3 convolutions of 16, 32 (stride 2) and 32 (stride 2) channels."""
    return convolutions((1, 16, 3, 1, 1), (16, 32, 3, 2, 1), (32, 32, 3, 2, 1))


def speech_network() -> nn.Sequential:
    """1×49×10 input; a 3×3 convolution of 64 channels (stride 2), three times depthwise 3×3 and pointwise ones."""
    return convolutions((1, 64, 3, 2, 1), *[(64, 64, 3, 1, 64), (64, 64, 1, 1, 1)] * 3)


DATASETS = {
    "mnist": DataSet("MNIST", read_mnist, mnist_network, float_epochs=5, qat_epochs=2),
    "cifar10": DataSet("CIFAR-10", read_cifar10, network, float_epochs=20, qat_epochs=5, augment=shifted),
    "speech_commands": DataSet("Speech Commands", read_speech_commands, speech_network, float_epochs=15, qat_epochs=5),
}
"""Option of ``lockstep benchmark qat`` → data set."""
