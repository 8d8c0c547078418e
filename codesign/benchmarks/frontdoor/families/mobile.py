"""Networks for small devices: depthwise convolutions, gates, shuffled channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Branches, Residual, SqueezeExcite, classifier, conv


def mobilenet_v1() -> nn.Module:
    """Depthwise and 1×1 convolutions in turns."""
    blocks = [
        nn.Sequential(conv(inputs, inputs, 3, stride, inputs), conv(inputs, outputs, 1))
        for inputs, outputs, stride in ((8, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2))
    ]
    return nn.Sequential(conv(3, 8, stride=2), *blocks, classifier(32))


def inverted(
    inputs: int,
    outputs: int,
    expand: int,
    stride: int = 1,
    act: type[nn.Module] = nn.ReLU6,
    gate: type[nn.Module] | None = None,
    kernel: int = 3,
) -> nn.Module:
    """An inverted residual block: expanded, depthwise, with a `gate` or none, projected without activation."""
    hidden = inputs * expand
    body = nn.Sequential(
        *([] if expand == 1 else [conv(inputs, hidden, 1, act=act)]),
        conv(hidden, hidden, kernel, stride, hidden, act=act),
        *([] if gate is None else [SqueezeExcite(hidden, gate)]),
        conv(hidden, outputs, 1, act=None),
    )
    return Residual(body, act=None) if stride == 1 and inputs == outputs else body


def mobilenet_v2() -> nn.Module:
    """Inverted residuals with ReLU6."""
    return nn.Sequential(
        conv(3, 8, stride=2, act=nn.ReLU6),
        inverted(8, 8, 1),
        inverted(8, 12, 4, 2),
        inverted(12, 12, 4),
        inverted(12, 16, 4, 2),
        inverted(16, 16, 4),
        conv(16, 48, 1, act=nn.ReLU6),
        classifier(48),
    )


def mobilenet_v2_full(classes: int = 1000) -> nn.Module:
    """MobileNetV2 at width 1.0 for 224×224 images: 3.5 million weights."""
    blocks: list[nn.Module] = []
    inputs = 32
    for expand, outputs, count, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for index in range(count):
            blocks.append(inverted(inputs, outputs, expand, first if index == 0 else 1))
            inputs = outputs
    return nn.Sequential(
        conv(3, 32, stride=2, act=nn.ReLU6), *blocks, conv(320, 1280, 1, act=nn.ReLU6), classifier(1280, classes)
    )


def mobilenet_v3() -> nn.Module:
    """Hard-swish, and gates of hard sigmoids."""
    return nn.Sequential(
        conv(3, 8, stride=2, act=nn.Hardswish),
        inverted(8, 8, 2, gate=nn.Hardsigmoid, act=nn.ReLU),
        inverted(8, 12, 3, 2, act=nn.Hardswish, kernel=5),
        inverted(12, 12, 3, act=nn.Hardswish, gate=nn.Hardsigmoid, kernel=5),
        conv(12, 36, 1, act=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(36, 48),
        nn.Hardswish(),
        nn.Dropout(0.2),
        nn.Linear(48, 10),
    )


def efficientnet() -> nn.Module:
    """SiLU, and gates of sigmoids."""
    return nn.Sequential(
        conv(3, 8, stride=2, act=nn.SiLU),
        inverted(8, 8, 1, act=nn.SiLU, gate=nn.Sigmoid),
        inverted(8, 12, 4, 2, act=nn.SiLU, gate=nn.Sigmoid),
        inverted(12, 12, 4, act=nn.SiLU, gate=nn.Sigmoid, kernel=5),
        conv(12, 40, 1, act=nn.SiLU),
        classifier(40),
    )


class Shuffle(nn.Module):
    """ShuffleNet's unit: half of the channels pass, the two halves are interleaved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(conv(half, half, 1), conv(half, half, 3, 1, half, act=None), conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → the same shape."""
        left, right = x.chunk(2, 1)
        joined = torch.cat([left, self.body(right)], 1)
        batch, channels, height, width = joined.shape
        return joined.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(joined.shape)


def shufflenet() -> nn.Module:
    """Units with split, concatenation and shuffled channels."""
    down = Branches(
        nn.Sequential(conv(12, 12, 3, 2, 12, act=None), conv(12, 12, 1)),
        nn.Sequential(conv(12, 12, 1), conv(12, 12, 3, 2, 12, act=None), conv(12, 12, 1)),
    )
    return nn.Sequential(
        conv(3, 12, stride=2), nn.MaxPool2d(3, 2, 1), down, Shuffle(24), Shuffle(24), conv(24, 32, 1), classifier(32)
    )


def ghostnet() -> nn.Module:
    """Half of the channels by a 1×1 convolution, the other half by a cheap depthwise one of those."""

    class Ghost(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.primary = conv(inputs, outputs // 2, 1)
            self.cheap = conv(outputs // 2, outputs // 2, 3, 1, outputs // 2)

        def forward(self, x: Tensor) -> Tensor:
            primary = self.primary(x)
            return torch.cat([primary, self.cheap(primary)], 1)

    return nn.Sequential(
        conv(3, 8, stride=2), Ghost(8, 16), nn.MaxPool2d(2), Ghost(16, 24), SqueezeExcite(24, nn.Hardsigmoid),
        Ghost(24, 32), classifier(32),
    )  # fmt: skip


def convmixer() -> nn.Module:
    """Patches, depthwise 5×5 and 1×1 convolutions with GELU and BatchNorm behind it."""

    def block(channels: int) -> nn.Module:
        depthwise = nn.Sequential(
            nn.Conv2d(channels, channels, 5, groups=channels, padding=2), nn.GELU(), nn.BatchNorm2d(channels)
        )
        return nn.Sequential(
            Residual(depthwise, act=None), nn.Conv2d(channels, channels, 1), nn.GELU(), nn.BatchNorm2d(channels)
        )

    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 4), nn.GELU(), nn.BatchNorm2d(16), block(16), block(16), classifier(16)
    )  # fmt: skip


def ds_cnn() -> nn.Module:
    """Keyword spotting on 49×10 features: depthwise separable convolutions, one mean over all."""
    return nn.Sequential(
        nn.Conv2d(1, 16, (10, 4), (2, 2), (5, 1), bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *[nn.Sequential(conv(16, 16, 3, 1, 16), conv(16, 16, 1)) for _ in range(3)],
        nn.Dropout(0.2),
        nn.AvgPool2d((25, 5)),
        nn.Flatten(),
        nn.Linear(16, 12),
    )
