"""Time series: a temporal convolutional network, and recurrent cells unrolled over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TemporalBlock(nn.Module):
    """Two dilated causal convolutions and a shortcut; the first pads before, the second cuts off behind."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.padding = (kernel - 1) * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=self.padding, dilation=dilation)
        self.dropout = nn.Dropout(0.1)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(F.pad(x, (self.padding, 0)))))
        y = self.dropout(F.relu(self.conv2(y)[:, :, : -self.padding]))
        return F.relu(y + self.shortcut(x))


class TCN(nn.Module):
    """(batch, 2, length) to a forecast of 3 values."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(TemporalBlock(2, 8, 3, 1), TemporalBlock(8, 8, 3, 2), TemporalBlock(8, 12, 3, 4))
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x)[:, :, -1])


class UnrolledLSTM(nn.Module):
    """(batch, steps, 5) through torch's LSTM cell to 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(5, 9)
        self.head = nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = state = torch.zeros(x.shape[0], 9)
        for step in range(x.shape[1]):
            hidden, state = self.cell(x[:, step], (hidden, state))
        return self.head(hidden)


class UnrolledGRU(nn.Module):
    """(batch, steps, 5) through torch's GRU cell, which begins by itself, to a sequence (batch, steps, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        hidden, states = None, []
        for part in x.unbind(1):
            hidden = self.cell(part, hidden)
            states.append(hidden)
        return torch.stack(states, 1)


class WrittenLSTM(nn.Module):
    """A cell written out, with a learned start."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.linspace(-0.5, 0.5, 6).view(1, 6))
        self.inputs = nn.Linear(5, 24)
        self.hidden = nn.Linear(6, 24, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.start.expand(x.shape[0], -1)
        state = torch.tanh(hidden)
        for step in range(x.size(1)):
            i, f, g, o = torch.chunk(self.inputs(x[:, step, :]) + self.hidden(hidden), 4, dim=1)
            state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(state)
        return hidden


class Tagger(nn.Module):
    """(batch, steps, 5) through two layers of a bidirectional LSTM, steps first, to 4 values each, and 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, num_layers=2, bidirectional=True, dropout=0.1)
        self.tags = nn.Linear(14, 4)
        self.head = nn.Linear(14, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps, (hidden, _) = self.lstm(x.transpose(0, 1))
        return self.tags(steps.transpose(0, 1)), self.head(torch.cat((hidden[-2], hidden[-1]), 1))


class Forecaster(nn.Module):
    """(batch, 5, steps) through a convolution, a GRU with a learned start and an RNN to a forecast."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(5, 6, 3, padding=1)
        self.start = nn.Parameter(torch.linspace(-0.5, 0.5, 8).view(1, 1, 8))
        self.gru = nn.GRU(6, 8, batch_first=True)
        self.rnn = nn.RNN(8, 5, nonlinearity="relu", batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x)).permute(0, 2, 1)
        y, _ = self.gru(x, self.start.expand(-1, x.shape[0], -1).contiguous())
        y, _ = self.rnn(y)
        return self.head(y[:, -1, :])


class Translator(nn.Module):
    """An encoder whose last state starts a decoder: (batch, steps, 5) and (batch, steps, 3) to (batch, steps, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(5, 6, batch_first=True, bias=False)
        self.decoder = nn.LSTM(3, 6, batch_first=True)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        _, state = self.encoder(x)
        return self.head(self.decoder(y, state)[0])
