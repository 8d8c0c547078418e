"""Paddings by codes from elsewhere, rolls, repetitions, and windows that ceil_mode adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.qat.networks.applied import MAP, SEQUENCE, VECTOR, Applied, check_applied

VARIANTS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    **{f"{mode} map": (lambda x, mode=mode: F.pad(x, (2, 1, 0, 3), mode), MAP) for mode in ("reflect", "circular")},
    **{f"{mode} row": (lambda x, mode=mode: F.pad(x, (5, 4), mode), SEQUENCE) for mode in ("reflect", "replicate")},
    "replicate and cut": (lambda x: F.pad(x, (-2, 1, 3, -1), "replicate"), MAP),
    "a module": (lambda x: nn.ReflectionPad2d((1, 0, 2, 1))(x), MAP),
    "zeros around channels": (lambda x: F.pad(x, (1, -1, 0, 2, 2, 1)), MAP),
    "zeros around a sequence's channels": (lambda x: F.pad(x, (0, 2, 1, 0)), SEQUENCE),
    "zeros around a vector": (lambda x: F.pad(x, (1, 2)), VECTOR),
    "rolled": (lambda x: x.roll((2, -1), (1, 3)), MAP),
    "each twice": (lambda x: x.repeat_interleave(2, 1).repeat_interleave(3, -1), SEQUENCE),
    "repeated": (lambda x: x.repeat(1, 2, 1, 1).tile(2, 1), MAP),
    "expanded": (lambda x: x.amax((2, 3), keepdim=True).expand(-1, -1, 3, 2), MAP),
    "a sum": (lambda x: x.sum((2, 3)) * 0.1 + x.sum(1).flatten(1)[:, :4], MAP),
    "a maximum more": (lambda x: F.max_pool2d(x, (2, 3), (2, 4), ceil_mode=True), MAP),
    "a padded maximum more": (lambda x: F.max_pool1d(x, 5, 3, 1, ceil_mode=True), SEQUENCE),
    "a mean more": (lambda x: F.avg_pool2d(x, (2, 4), ceil_mode=True), MAP),
    "a padded mean more": (lambda x: F.avg_pool2d(x, (2, 3), (2, 3), 1, ceil_mode=True), MAP),
    "a padded mean more, of what is there": (lambda x: F.avg_pool2d(x, 3, 3, 1, True, False), MAP),
    "a padded mean more of a sequence": (lambda x: F.avg_pool1d(x, 5, 4, 1, ceil_mode=True), (4, 8)),
    "ceil_mode that adds none": (lambda x: F.avg_pool2d(x, (2, 3), 1, 1, ceil_mode=True), MAP),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, tmp_path: Path) -> None:
    function, shape = VARIANTS[name]
    check_applied(Applied(lambda m, x: function(x)), shape, tmp_path)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_convolutions(mode: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 3, 3, 2, (1, 2), padding_mode=mode), nn.ReLU(), nn.Flatten(2))
    model.append(nn.Conv1d(3, 2, 3, padding="same", padding_mode=mode))
    check_applied(model, MAP, tmp_path)
