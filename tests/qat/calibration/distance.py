"""How far a prepared model's outputs are from the float model's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qat


def distance(prepared: qat.PreparedModel, model: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return float((prepared.eval()(x) - model.eval()(x)).square().mean() / model(x).var())
