"""Classifiers of images whose layers are convolutions of all channels: LeNet to DenseNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Branches, Residual, classifier, conv


def mlp() -> nn.Module:
    """Three fully connected layers."""
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))


def lenet() -> nn.Module:
    """5×5 convolutions without padding, mean and maximum over windows, three fully connected layers."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 60),
        nn.ReLU(),
        nn.Linear(60, 42),
        nn.ReLU(),
        nn.Linear(42, 10),
    )


def vgg() -> nn.Module:
    """Pairs of 3×3 convolutions, maxima, and a classifier with dropout."""
    return nn.Sequential(
        conv(3, 8),
        conv(8, 8),
        nn.MaxPool2d(2),
        conv(8, 16),
        conv(16, 16),
        nn.MaxPool2d(2),
        conv(16, 24),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 16, 32),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(32, 10),
    )


def resnet() -> nn.Module:
    """Basic blocks of two 3×3 convolutions."""
    return nn.Sequential(
        conv(3, 8, 7, 2),
        nn.MaxPool2d(3, 2, 1),
        Residual(nn.Sequential(conv(8, 8), conv(8, 8, act=None))),
        Residual(nn.Sequential(conv(8, 16, stride=2), conv(16, 16, act=None)), conv(8, 16, 1, 2, act=None)),
        Residual(nn.Sequential(conv(16, 16), conv(16, 16, act=None))),
        classifier(16),
    )


def resnet_bottleneck() -> nn.Module:
    """Blocks of 1×1, 3×3 and 1×1 convolutions."""
    return nn.Sequential(
        conv(3, 16),
        Residual(nn.Sequential(conv(16, 8, 1), conv(8, 8), conv(8, 32, 1, act=None)), conv(16, 32, 1, act=None)),
        Residual(nn.Sequential(conv(32, 8, 1), conv(8, 8), conv(8, 32, 1, act=None))),
        Residual(
            nn.Sequential(conv(32, 16, 1), conv(16, 16, stride=2), conv(16, 48, 1, act=None)),
            conv(32, 48, 1, 2, act=None),
        ),
        classifier(48),
    )


def regnet() -> nn.Module:
    """Bottlenecks whose 3×3 convolutions have groups."""
    return nn.Sequential(
        conv(3, 16, stride=2),
        Residual(nn.Sequential(conv(16, 16, 1), conv(16, 16, groups=4), conv(16, 16, 1, act=None))),
        Residual(
            nn.Sequential(conv(16, 32, 1), conv(32, 32, stride=2, groups=8), conv(32, 32, 1, act=None)),
            conv(16, 32, 1, 2, act=None),
        ),
        classifier(32),
    )


def squeezenet() -> nn.Module:
    """Fire modules: 1×1 and 3×3 convolutions side by side; the classifier is a convolution."""

    def fire(inputs: int, squeeze: int, expand: int) -> nn.Module:
        branches = (
            nn.Sequential(nn.Conv2d(squeeze, expand, 1), nn.ReLU()),
            nn.Sequential(nn.Conv2d(squeeze, expand, 3, padding=1), nn.ReLU()),
        )
        return nn.Sequential(nn.Conv2d(inputs, squeeze, 1), nn.ReLU(), Branches(*branches))

    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        fire(16, 4, 8),
        fire(16, 4, 8),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        fire(16, 6, 12),
        nn.Dropout(),
        nn.Conv2d(24, 10, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def densenet() -> nn.Module:
    """BatchNorm and ReLU in front of each convolution; every layer sees all the earlier ones."""

    class Dense(nn.Module):
        def __init__(self, inputs: int, growth: int) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.ReLU(),
                nn.Conv2d(inputs, 2 * growth, 1, bias=False),
                nn.BatchNorm2d(2 * growth),
                nn.ReLU(),
                nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False),
            )

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, self.layers(x)], 1)

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        Dense(8, 4),
        Dense(12, 4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.AvgPool2d(2),
        Dense(8, 4),
        Dense(12, 4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        classifier(16),
    )


def inception() -> nn.Module:
    """Four branches: 1×1, 3×3, a factored 5×5, and a mean over windows."""

    def factored(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, (1, 5), padding=(0, 2), bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (5, 1), padding=(2, 0), bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def block(inputs: int) -> nn.Module:
        return Branches(
            conv(inputs, 8, 1),
            nn.Sequential(conv(inputs, 6, 1), conv(6, 8)),
            nn.Sequential(conv(inputs, 4, 1), factored(4, 4)),
            nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(inputs, 4, 1)),
        )

    return nn.Sequential(conv(3, 12, stride=2), block(12), nn.MaxPool2d(3, 2), block(24), classifier(24))
