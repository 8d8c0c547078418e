"""A recommender: embeddings of categories and numbers, their products, and an MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Recommender(nn.Module):
    """numbers : (batch, 6) float; user, item : (batch,) int64; history : (batch, 4) int64, items seen before."""

    def __init__(self) -> None:
        super().__init__()
        self.user = nn.Embedding(20, 8)
        self.item = nn.Embedding(30, 8)
        self.bottom = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, numbers: Tensor, user: Tensor, item: Tensor, history: Tensor) -> Tensor:
        dense, who, what = self.bottom(numbers), self.user(user), self.item(item)
        seen = self.item(history).mean(1)
        return self.top(torch.cat([dense, who, what, who * what, seen], dim=1))
