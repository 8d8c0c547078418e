"""What the families share: a convolution with its BatchNorm, squeeze and excitation, the classifier's end."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution with "same" padding, BatchNorm, and the activation `act`; without one for None."""
    padding = dilation * (kernel // 2)
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs),
        *([] if act is None else [act()]),
    ]
    return nn.Sequential(*layers)


def classifier(channels: int, classes: int = 10) -> nn.Sequential:
    """Mean over the positions and a fully connected layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate that sees their means."""

    def __init__(self, channels: int, gate: type[nn.Module], act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.act = act()
        self.expand = nn.Conv2d(channels // 4, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → the same shape."""
        return x * self.gate(self.expand(self.act(self.reduce(self.pool(x)))))


class Residual(nn.Module):
    """``act(body(x) + shortcut(x))``; no activation for None, no shortcut for a `body` that keeps the shape."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, act: type[nn.Module] | None = nn.ReLU
    ) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.act = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        """One sum of two branches."""
        return self.act(self.body(x) + self.shortcut(x))


class Branches(nn.Module):
    """The channels of several branches of one input, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, sum of the branches' channels, h, w)."""
        return torch.cat([branch(x) for branch in self.branches], 1)
