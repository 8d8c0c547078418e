"""Random torch models after a step of training, by way of their ONNX files: torch = emulator = machine = RTL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from tests.end_to_end.configs import CONFIGS, VERSION_2
from tests.end_to_end.whole_way import assert_torch, exported, run_everywhere

EVERY = CONFIGS | VERSION_2
MODELS = {"verilator": 5, "icarus": 1}
IMAGES = 2


def random_model(rng: np.random.Generator) -> tuple[nn.Module, tuple[int, int, int]]:
    """A small network with random shapes, and the shape of its input: convolutions, pools, a head."""
    shape = (int(rng.integers(1, 5)), int(rng.integers(5, 9)), int(rng.integers(5, 9)))
    layers: list[nn.Module] = []
    x = torch.zeros(2, *shape)
    while len(layers) < 2:
        block = random_block(rng, x.shape[1])
        try:
            x = block(x)
        except RuntimeError:
            continue  # a window larger than its map: draw again
        layers.append(block)
    head = nn.Sequential(pick(rng, nn.AdaptiveAvgPool2d(1), nn.Identity()), nn.Flatten())
    layers += [head, nn.Linear(head(x).shape[1], int(rng.integers(1, 8)))]
    return nn.Sequential(*layers), shape


def random_block(rng: np.random.Generator, inputs: int) -> nn.Sequential:
    """Convolution, BatchNorm, activation function, pool and dropout, most of them or all; in eval mode."""
    groups = pick(rng, 1, 1, inputs)
    channels = groups * int(rng.integers(1, 4))
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    return nn.Sequential(
        nn.Conv2d(
            inputs, channels, kernel, stride=pick(rng, 1, (1, 2)), padding=pick(rng, 0, 1, (0, 2)),
            dilation=pick(rng, 1, 1, (1, 2)), groups=groups, bias=pick(rng, True, False),
        ),
        pick(rng, nn.BatchNorm2d(channels), nn.Identity()),
        pick(rng, nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.3, 0.8), nn.Identity()),
        pick(
            rng, nn.MaxPool2d(2, 1), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AvgPool2d((2, 3), 1, 1),
            nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Identity(),
        ),
        pick(rng, nn.Dropout(0.2), nn.Identity()),
    ).eval()  # fmt: skip


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def trained(model: nn.Module, x: Tensor, name: str, seed: int) -> qat.PreparedModel:
    """`model` for a config's arithmetic after two steps, which move statistics, scales and weights."""
    settings = {"*": {"scale": ("learned_log", "free", "learned", "power_of_two")[seed % 4]}}
    prepared = qat.prepare(model, x, EVERY[name].arithmetic, settings=settings).train()
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        prepared(x).square().mean().backward()
        optimizer.step()
    return prepared


@pytest.mark.parametrize("name", EVERY)
def test_torch_emulator_machine_and_rtl_are_equal(name: str, simulator: str, tmp_path: Path) -> None:
    config, cases, expected = EVERY[name], [], []
    for seed in range(MODELS[simulator]):
        torch.manual_seed(seed)
        model, shape = random_model(np.random.default_rng([seed, len(CONFIGS), list(EVERY).index(name)]))
        prepared = trained(model, torch.randn(16, *shape), name, seed)
        x = torch.randn(IMAGES, *shape)
        cases.append(exported(prepared, (x,), config, tmp_path))
        expected.append((qat.codes(prepared, x), qat.overflow_counts(prepared, x)))
    found = run_everywhere(config, cases, simulator)
    overflowed = sum(assert_torch(*theirs, *ours) for theirs, ours in zip(expected, found, strict=True))
    if config.arithmetic.accumulator_bits <= 12 and simulator == "verilator":
        assert overflowed > 0
