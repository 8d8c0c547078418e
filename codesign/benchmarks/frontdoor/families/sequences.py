"""Networks of sequences, of two inputs, and of tables."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import conv


class Temporal(nn.Module):
    """A temporal block: two dilated convolutions that see the past only, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.first = nn.Conv1d(inputs, outputs, 3, dilation=dilation)
        self.second = nn.Conv1d(outputs, outputs, 3, dilation=dilation)
        self.act_first, self.act_second, self.act = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, length) → (n, outputs, length)."""
        y = self.act_first(self.first(F.pad(x, (self.past, 0))))
        y = self.act_second(self.second(F.pad(y, (self.past, 0))))
        return self.act(y + self.shortcut(x))


class Tcn(nn.Module):
    """Temporal blocks; the last position is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Temporal(4, 12, 1), Temporal(12, 12, 2), Temporal(12, 12, 4))
        self.head = nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 4, length) → (n, 6)."""
        return self.head(self.blocks(x)[:, :, -1])


def wavenet_encoder() -> nn.Module:
    """1-D convolutions with strides and maxima, as for audio or heart beats."""
    return nn.Sequential(
        nn.Conv1d(1, 8, 9, 2, 4),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(8, 16, 5, 1, 2),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


class Recurrent(nn.Module):
    """One recurrent layer, whose last state is classified."""

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layer = layer(8, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(n, length, 8) → (n, 4)."""
        return self.head(self.layer(x)[0][:, -1])


def lstm() -> nn.Module:
    """A classifier of sequences with an LSTM."""
    return Recurrent(nn.LSTM)


def gru() -> nn.Module:
    """A classifier of sequences with a GRU."""
    return Recurrent(nn.GRU)


def autoencoder() -> nn.Module:
    """Fully connected, narrow in the middle, with BatchNorm."""
    sizes = (64, 32, 32, 8, 32, 32)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 64))


class Siamese(nn.Module):
    """One encoder for two images; their distance is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(conv(1, 8, stride=2), conv(8, 12, stride=2), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(96, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Two (n, 1, h, w) → (n, 1) between 0 and 1."""
        a, b = self.encoder(left), self.encoder(right)
        return torch.sigmoid(self.head(torch.cat([a - b, a * b], 1)))


class Tabular(nn.Module):
    """Categories through embeddings beside numbers, and fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(10, 4), nn.Embedding(6, 3)
        self.norm = nn.BatchNorm1d(5)
        self.layers = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """(n, 5) and int64 (n, 2) → (n, 2)."""
        embedded = [self.first(categories[:, 0]), self.second(categories[:, 1])]
        return self.layers(torch.cat([self.norm(numbers), *embedded], 1))
