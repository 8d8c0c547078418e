"""The four networks of MLPerf Tiny: ResNet-8, DS-CNN, MobileNetV1-0.25 and the autoencoder.

The originals' uneven padding stands in front of the convolutions as `F.pad`.
"""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


class Stack(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1 if stride == 1 else 0), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, padding="same"), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.pad(x, (0, 1, 0, 1)) if self.stride > 1 else x
        y = F.relu(self.bn1(self.conv1(y)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 16, 3, padding="same"), nn.BatchNorm2d(16)
        self.stacks = nn.Sequential(Stack(16, 16, 1), Stack(16, 32, 2), Stack(32, 64, 2))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stacks(F.relu(self.bn(self.conv(x))))
        return self.head(F.avg_pool2d(x, (x.shape[2], x.shape[3])).flatten(1))


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Depthwise and pointwise convolution; a stride of 2 pads below and to the right only."""
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)) if stride > 1 else nn.Identity(),
        nn.Conv2d(inputs, inputs, 3, stride, 0 if stride > 1 else 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class DSCNN(nn.Module):
    """Keywords in a spectrogram (1, 49, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 64, (10, 4), 2)
        self.bn = nn.BatchNorm2d(64)
        self.dropout = nn.Dropout(0.2)
        self.blocks = nn.Sequential(*(separable(64, 64) for _ in range(4)), nn.Dropout(0.4))
        self.head = nn.Linear(64, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(F.relu(self.bn(self.conv(F.pad(x, (1, 1, 4, 5))))))
        return self.head(self.blocks(x).mean((2, 3)))


class MobileNetV1(nn.Module):
    """Width 0.25: persons in an image."""

    LAYERS = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))

    def __init__(self) -> None:
        super().__init__()
        blocks, inputs = [], 8
        for outputs, stride in self.LAYERS:
            blocks.append(separable(inputs, outputs, stride))
            inputs = outputs
        self.stem = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1).squeeze(-1).squeeze(-1))


class Autoencoder(nn.Module):
    """Anomalies in sound: 640 features through a bottleneck of 8 and back."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(128, 640))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
