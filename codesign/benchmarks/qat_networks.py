"""The networks whose training steps are measured: one of each kind that spends its time differently."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .qat_step import SEED, network

CLASSES = 10


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expansion, depthwise 3×3, projection, and the sum with the input where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.block = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


def inverted_residuals() -> nn.Sequential:
    """3×32×32 input; MobileNetV2's beginning: 32 channels, blocks of 16, 24, 24, 32, 32, 64, then 160 channels."""
    blocks = ((32, 16, 1, 1), (16, 24, 2, 6), (24, 24, 1, 6), (24, 32, 2, 6), (32, 32, 1, 6), (32, 64, 2, 6))
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
        *(InvertedResidual(*block) for block in blocks),
        nn.Conv2d(64, 160, 1, bias=False),
        nn.BatchNorm2d(160),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(160, CLASSES),
    )


def depthwise() -> nn.Sequential:
    """3×32×32 input; 64 channels, four depthwise 3×3 and pointwise convolutions, the second of stride 2; a pool."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for stride in (1, 2, 1, 1):
        layers += [nn.Conv2d(64, 64, 3, stride, 1, groups=64, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        layers += [nn.Conv2d(64, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def perceptron() -> nn.Sequential:
    """784 inputs; linear layers of 256, 256 and 128 with ReLU, and the classes."""
    return nn.Sequential(
        *(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()),
        nn.Linear(128, CLASSES),
    )


class Recurrent(nn.Module):
    """20 steps of 32 features; an LSTM of 64; a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 64, batch_first=True)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        y: Tensor = self.head(states[:, -1])
        return y


# {name: (the network, the shape of a sample, samples of a batch)}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "convolutions": (network, (3, 32, 32), 64),
    "MobileNetV2-like": (inverted_residuals, (3, 32, 32), 32),
    "depthwise": (depthwise, (3, 32, 32), 64),
    "MLP": (perceptron, (784,), 256),
    "LSTM of 20 steps": (Recurrent, (20, 32), 64),
}


def seeded(name: str) -> nn.Module:
    """The network of that name, its parameters drawn from `SEED`."""
    torch.manual_seed(SEED)
    return NETWORKS[name][0]()


def batch(name: str) -> tuple[Tensor, Tensor]:
    """Random samples and labels for that network."""
    _, shape, count = NETWORKS[name]
    generator = torch.Generator().manual_seed(SEED)
    samples = torch.randn(count, *shape, generator=generator)
    return samples, torch.randint(0, CLASSES, (count,), generator=generator)
