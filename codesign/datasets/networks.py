"""A small torch network for each built-in data set, with random parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from .folder import listed

BLOCKS = {1: (nn.Conv1d, nn.BatchNorm1d), 2: (nn.Conv2d, nn.BatchNorm2d)}


def digits8_network() -> nn.Sequential:
    """Three 3×3 convolutions, two max pools, one linear layer; 231 000 products per image of (1, 8, 8)."""
    layers: dict[str, nn.Module] = {
        **block(2, 1, 1, 16),
        **block(2, 2, 16, 16),
        "pool2": nn.MaxPool2d(2),
        **block(2, 3, 16, 32),
        "pool3": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "head": nn.Linear(128, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def digits28_network() -> nn.Sequential:
    """The same for images of (1, 28, 28), the first convolution with stride 2; 468 000 products per image."""
    layers: dict[str, nn.Module] = {
        **block(2, 1, 1, 8, stride=2),
        **block(2, 2, 8, 16),
        "pool2": nn.MaxPool2d(2),
        **block(2, 3, 16, 32),
        "pool3": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "head": nn.Linear(288, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def watch_network() -> nn.Sequential:
    """Three 1-D convolutions of 5 steps, stride 2, a mean over time, one linear layer; 195 000 products per window."""
    layers: dict[str, nn.Module] = {
        **block(1, 1, 6, 16, kernel=5, stride=2),
        **block(1, 2, 16, 32, kernel=5, stride=2),
        **block(1, 3, 32, 32, kernel=5, stride=2),
        "mean": nn.AdaptiveAvgPool1d(1),
        "flatten": nn.Flatten(),
        "head": nn.Linear(32, 7),
    }
    return nn.Sequential(OrderedDict(layers))


def block(
    dimensions: int, index: int, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1
) -> dict[str, nn.Module]:
    """Convolution, BatchNorm and ReLU, named with `index`."""
    convolution, norm = BLOCKS[dimensions]
    return {
        f"conv{index}": convolution(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        f"norm{index}": norm(outputs),
        f"relu{index}": nn.ReLU(),
    }


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "digits8": digits8_network,
    "digits28": digits28_network,
    "watch": watch_network,
}
"""{name of a built-in data set: its network}."""


def network(name: str) -> nn.Sequential:
    """A new network for the built-in data set `name`, its parameters drawn from torch's generator.

    Raises ``ValueError`` for a name that is none of `NETWORKS`.
    """
    if name not in NETWORKS:
        raise ValueError(f"the data set must be {listed(map(repr, NETWORKS), 'or')}, not {name!r}")
    return NETWORKS[name]()
