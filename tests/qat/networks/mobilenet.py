"""MobileNetV2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm_relu6(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [conv_norm_relu6(inputs, hidden, 1)] if expansion > 1 else []
        layers += [conv_norm_relu6(hidden, hidden, stride=stride, groups=hidden)]
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    SETTINGS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, multiplier: float = 1.0) -> None:
        super().__init__()

        def width(channels: int) -> int:
            return max(8, int(channels * multiplier + 4) // 8 * 8)

        inputs = width(32)
        features = [conv_norm_relu6(3, inputs, stride=2)]
        for expansion, channels, depth, stride in self.SETTINGS:
            for number in range(depth):
                features.append(InvertedResidual(inputs, width(channels), stride if number == 0 else 1, expansion))
                inputs = width(channels)
        last = max(1280, width(1280)) if multiplier >= 1 else width(1280)
        self.features = nn.Sequential(*features, conv_norm_relu6(inputs, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1)
        return self.classifier(x)
