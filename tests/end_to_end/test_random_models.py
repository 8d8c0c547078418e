"""Random torch models after a step of training, by way of their ONNX files: torch = emulator = machine = RTL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from compiler import compile_graph, load_onnx
from emulator import run_graph
from emulator.machine import Machine, make_result
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS

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
    prepared = qat.prepare(model, x, CONFIGS[name].arithmetic, settings=settings).train()
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        prepared(x).square().mean().backward()
        optimizer.step()
    return prepared


@pytest.mark.parametrize("name", CONFIGS)
def test_torch_emulator_machine_and_rtl_are_equal(name: str, simulator: str, tmp_path: Path) -> None:
    config, images, addresses, lengths, cases = CONFIGS[name], [], [], [], []
    for seed in range(MODELS[simulator]):
        torch.manual_seed(seed)
        model, shape = random_model(np.random.default_rng([seed, len(CONFIGS), list(CONFIGS).index(name)]))
        prepared = trained(model, torch.randn(16, *shape), name, seed)
        qat.export_onnx(prepared, tmp_path / f"{seed}.onnx")
        graph, x = load_onnx(tmp_path / f"{seed}.onnx"), torch.randn(IMAGES, *shape)
        assert graph.arithmetic == config.arithmetic
        codes = qat.codes(prepared, x)
        program = compile_graph(graph, config)
        emulated = run_graph(graph, {"input": x.numpy()}, every=True)
        cases.append((program, codes, emulated, qat.overflow_counts(prepared, x)))
        made = program.images({"input": x.numpy()})
        images += made
        addresses += [program.program_address] * len(made)
        lengths += [program.program_bytes] * len(made)
    machine = Machine(config).execute(images, addresses, lengths)
    rtl = simulate_images(config, images, addresses, lengths, simulator=simulator)
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        assert not left.differences(right), f"run {index}: {left.differences(right)}"
    overflowed = 0
    for index, (program, from_torch, from_emulator, overflows) in enumerate(cases):
        result = make_result(program, rtl[IMAGES * index : IMAGES * (index + 1)])
        assert set(from_torch) == set(from_emulator)
        for layer, codes in from_torch.items():
            np.testing.assert_array_equal(codes, from_emulator[layer], err_msg=f"{index}: {layer}")
            if layer in result.layers:  # what is fused into the next layer is not in memory
                np.testing.assert_array_equal(codes, result.layers[layer], err_msg=f"{index}: {layer}")
        overflowed += sum(int(counts.sum()) for counts in overflows.values())
        for layer, counts in overflows.items() if config.counters else ():
            np.testing.assert_array_equal(counts, result.counters["overflowed"][layer], err_msg=f"{index}: {layer}")
    if config.arithmetic.accumulator_bits <= 12 and simulator == "verilator":
        assert overflowed > 0
