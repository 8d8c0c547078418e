"""ShuffleNetV2, and a small network for super-resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


def pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def depthwise(channels: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels)]


class ShuffleUnit(nn.Module):
    """Half of the channels pass by; where the stride is 2, all go both ways."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, width = stride, outputs // 2
        self.branch1 = nn.Sequential(*depthwise(inputs, stride), *pointwise(inputs, width)) if stride > 1 else None
        start = inputs if stride > 1 else width
        self.branch2 = nn.Sequential(*pointwise(start, width), *depthwise(width, stride), *pointwise(width, width))

    def forward(self, x: Tensor) -> Tensor:
        if self.branch1 is None:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self, depths: tuple[int, ...] = (4, 8, 4), widths: tuple[int, ...] = (24, 48, 96, 192, 1024)) -> None:
        super().__init__()
        first, *stages, last = widths
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        units, inputs = [], first
        for depth, width in zip(depths, stages, strict=True):
            for number in range(depth):
                units.append(ShuffleUnit(inputs, width, 1 if number else 2))
                inputs = width
        self.stages = nn.Sequential(*units)
        self.conv5 = nn.Sequential(*pointwise(inputs, last))
        self.fc = nn.Linear(last, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5(self.stages(self.maxpool(self.conv1(x))))
        return self.fc(x.mean([2, 3]))


class SuperResolution(nn.Module):
    """(batch, 1, height, width) to twice the size: grouped convolutions with a shuffle between, then sub-pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.PixelUnshuffle(2)
        self.conv1 = nn.Conv2d(4, 12, 3, padding=1)
        self.mix = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.shuffle = nn.ChannelShuffle(3)
        self.conv2 = nn.Conv2d(12, 16, 3, padding=1, groups=2)
        self.up = nn.PixelShuffle(4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv1(self.down(x)))
        return self.up(self.conv2(self.shuffle(F.relu(self.mix(y)))))
