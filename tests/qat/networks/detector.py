"""A small detector: one backbone, and several results."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Detector(nn.Module):
    """(batch, 3, height, width) to class scores and boxes of two scales, and an auxiliary classifier's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.deep = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(inplace=True))
        self.scores = nn.ModuleList([nn.Conv2d(8, 3, 1), nn.Conv2d(12, 3, 1)])
        self.boxes = nn.ModuleList([nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(12, 4, 3, padding=1)])
        self.auxiliary = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor | list[Tensor]]:
        first = self.stem(x)
        second = self.deep(first)
        maps = first, second
        return {
            "scores": [torch.sigmoid(head(y)) for head, y in zip(self.scores, maps, strict=True)],
            "boxes": [head(y) for head, y in zip(self.boxes, maps, strict=True)],
            "auxiliary": self.auxiliary(second.mean((2, 3))),
        }
