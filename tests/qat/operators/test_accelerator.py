"""The accelerator runs what the further operators become."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine
from tests.qat.networks import exported, images
from tests.qat.networks.applied import NARROW


class Everything(nn.Module):
    """Constants, norms, choices, gathers and pools on small maps."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.slopes = nn.BatchNorm2d(4), nn.PReLU(4)
        self.place, self.scale = nn.Parameter(torch.randn(1, 4, 5, 3)), nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.slopes(self.norm(x) + self.place) * self.scale
        larger, smaller = torch.maximum(x, y), torch.minimum(x, y).roll(1, 2)
        some = torch.where(x[:, :1] > 0.2, larger, smaller)
        padded = F.pad(F.glu(some, 1), (1, 1, 2, 0), "reflect")
        return F.max_pool2d(padded, 2, ceil_mode=True), F.avg_pool2d(padded, 3, 2, 1, ceil_mode=True)


@pytest.mark.parametrize("arithmetic", [Arithmetic(), NARROW], ids=["default", "narrow"])
@pytest.mark.parametrize("size", [(2, 3), (8, 8)], ids=str)
def test_the_machine_gives_the_same_codes(arithmetic: Arithmetic, size: tuple[int, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = images(3, shape=(4, 5, 3))
    prepared = qat.prepare(Everything().eval(), x, arithmetic)
    graph, codes = exported(prepared, tmp_path), qat.codes(prepared, x[:1])
    config = AcceleratorConfig(rows=size[0], columns=size[1], arithmetic=arithmetic)
    made = Machine(config).run(compile_graph(graph, config), {"input": x[:1].numpy()}).outputs
    for name, layer in prepared.quantizers.results.layers.items():
        assert (made[name] == codes[layer]).all(), name
