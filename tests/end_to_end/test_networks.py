"""Whole networks of all the operators that there are, in RTL: sequences, recurrent cells, gates, moves, mixed widths.

torch = emulator = machine = RTL in codes, counters, cycles and every byte of memory, with a bus that stalls.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import load_onnx
from emulator import (
    Add,
    AveragePool,
    Concat,
    Convolution,
    Linear,
    LookupTable,
    MaxPool,
    Pad,
    Product,
    Rescale,
    Reshape,
    Slice,
    Transpose,
)
from tests.compiler.models import Model
from tests.compiler.onnx.operators.test_sequences import temporal_network
from tests.compiler.random_moves import SX, random_moves
from tests.end_to_end.configs import CONFIGS
from tests.end_to_end.whole_way import assert_torch, compiled, exported, run_everywhere
from tests.qat.networks import images, normalized
from tests.qat.networks.mobilenet import InvertedResidual, conv_norm_relu6
from tests.qat.networks.recommender import Recommender
from tests.qat.networks.sequences import TCN, UnrolledGRU, UnrolledLSTM, WrittenLSTM

MEMORIES = {"4x4": {"latency": 3, "seed": 0xBEEF}, "5x3": {"latency": 20, "seed": 77}}
"""Of two accelerators: 8 bits, saturating, weight stationary; and 6 × 4 bits, wrapping, output stationary."""
SAMPLES = 2
KINDS = {
    Add, AveragePool, Concat, Convolution, Linear, LookupTable, MaxPool, Pad, Product, Rescale, Reshape, Slice,
    Transpose,
}  # fmt: skip


class MobileNet(nn.Module):
    """Inverted residuals, with and without a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_norm_relu6(3, 4, stride=2), InvertedResidual(4, 4, 1, 2), InvertedResidual(4, 6, 2, 2)
        )
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Moves(nn.Module):
    """(batch, 3, 6, 5): parts of maps that gate and shift one another, then rows, then a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.rows = nn.Linear(4, 3)
        self.line = nn.Conv1d(3, 4, 3, dilation=2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        gates, maps = self.conv(x).split([2, 4], 1)
        maps = maps * torch.sigmoid(gates[:, :1]) - gates.mean(1, keepdim=True)
        maps = maps * torch.sigmoid(maps.mean((2, 3), keepdim=True))
        rows = F.relu(self.rows(maps[:, :, -1].transpose(1, 2)))
        line = self.line(F.pad(rows.transpose(1, 2), (1, 2)))
        line = F.pad(torch.cat([line, maps.amax(3)[:, :, ::2]], 2), (1, 0))
        line = F.max_pool1d(line + line.mean(2, keepdim=True), 2, stride=1, padding=1)[:, :, 1:]
        return self.head(line.unsqueeze(1).transpose(1, 3).squeeze(3).reshape(x.shape[0], 2, 16).flatten(1))


def rows_of_a_table(count: int) -> tuple[Tensor, ...]:
    """A recommender's arguments."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((20, ()), (30, ()), (30, (4,)))
    indices = (torch.randint(most, (count, *shape), generator=generator) for most, shape in sizes)
    return torch.randn(count, 6, generator=generator), *indices


Rules = dict[str, dict[str, Any]]
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...], Rules]] = {
    "TCN": (TCN, (images(16, shape=(2, 14)),), {"*conv2": {"weight_bits": 3, "activation_bits": 4}}),
    "LSTM cell": (UnrolledLSTM, (images(16, shape=(3, 5)),), {"cell.hh*": {"weight_bits": 2}}),
    "GRU cell": (UnrolledGRU, (images(16, shape=(2, 5)),), {"cell.ih*": {"activation_bits": 5}}),
    "LSTM written out": (WrittenLSTM, (images(16, shape=(2, 5)),), {"hidden*": {"weight_bits": 3}}),
    "recommender": (Recommender, rows_of_a_table(16), {"top.*": {"weight_bits": 4, "activation_bits": 6}}),
    "MobileNet": (MobileNet, (images(16, shape=(3, 9, 9)),), {"features.1*": {"activation_bits": 3}}),
    "moves": (Moves, (images(16, shape=(3, 6, 5)),), {"rows": {"weight_bits": 2, "activation_bits": 2}}),
}
"""{name: model, inputs, rules of some layers with fewer bits}"""


def trained(model: nn.Module, inputs: tuple[Tensor, ...], rules: Rules, name: str) -> qat.PreparedModel:
    """`model` for a config's arithmetic behind a training step."""
    prepared = qat.prepare(normalized(model, *inputs), inputs, CONFIGS[name].arithmetic, settings=rules).train()
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    prepared(*inputs).square().mean().backward()
    optimizer.step()
    return prepared


@pytest.mark.parametrize("name", MEMORIES)
def test_torch_emulator_machine_and_rtl_are_equal(name: str, tmp_path: Path) -> None:
    config, cases, expected = CONFIGS[name], [], []
    for make, inputs, rules in NETWORKS.values():
        torch.manual_seed(0)
        prepared = trained(make(), inputs, rules, name)
        few = tuple(x[:SAMPLES] for x in inputs)
        cases.append(exported(prepared, few, config, tmp_path))
        expected.append((qat.codes(prepared, *few), qat.overflow_counts(prepared, *few)))
    found = run_everywhere(config, cases, "verilator", **MEMORIES[name])
    assert sum(assert_torch(*theirs, *ours) for theirs, ours in zip(expected, found, strict=True)) > 0
    assert any(counts.clips.any() for _, layers in found for counts in layers.values())
    assert {type(node) for case in cases for node in case.graph.nodes} == KINDS
    for network, (codes, _) in zip(NETWORKS, found, strict=True):
        assert np.median([len(np.unique(made)) for made in codes.values()]) >= 4, network


def dilated_average_pool(counted: int) -> Model:
    model = Model()
    y = model.node(
        "AveragePool", [model.qdq(model.input((2, 9, 8)), SX, 9)], "pool", kernel_shape=[3, 2], dilations=[2, 3],
        strides=[1, 2], pads=[1, 1, 2, 1], count_include_pad=counted,
    )  # fmt: skip
    model.output(model.qdq(y, 0.02, -5))
    return model


def test_files_of_other_quantizers(tmp_path: Path, seeds: range) -> None:
    """What torch does not write: dilated average pools, any chain of moves, a bias behind its convolution."""
    config, cases = CONFIGS["4x4"], []
    models = [dilated_average_pool(0), dilated_average_pool(1), temporal_network()]
    for index, model in enumerate([*models, *(random_moves(seed)[0] for seed in seeds)]):
        graph = load_onnx(model.save(tmp_path), config.arithmetic, override=True)
        (source,) = graph.inputs
        shape = [size.dim_value for size in model.inputs[0].type.tensor_type.shape.dim][1:]
        x = np.random.default_rng(index).integers(source.y_min, source.y_max + 1, (SAMPLES, *shape), dtype=np.int8)
        cases.append(compiled(graph, config, {source.name: x}))
    run_everywhere(config, cases, "verilator", latency=1, seed=5)
