"""The array alone, both dataflows: random operands and sums at the edges, plain integers for what comes out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from emulator import AcceleratorConfig, Arithmetic
from rtl.array.compute import make_array
from rtl.simulation.vectors import Component, amaranth_component, play_vectors
from rtl.verilog.hierarchy import write_verilog

ROWS, COLUMNS = 3, 5
MODES = ("saturate", "wrap")
PACKED = pytest.mark.parametrize("packed", [False, True], ids=["a multiplier each", "packed"])


def arrays(dataflow: str, packed: bool) -> list[Component]:
    """An array per overflow mode, of 18 bits, which random products overflow now and then."""
    made = []
    for mode in MODES:
        arithmetic = Arithmetic(accumulator_bits=18, overflow=mode)
        config = AcceleratorConfig(ROWS, COLUMNS, dataflow, packed_multipliers=packed, arithmetic=arithmetic)
        array = make_array(config)
        part = amaranth_component(array, f"array_{mode}")
        source = part.source + write_verilog(array.kinds)
        source = re.sub(r"\b(processing_element(_pair)?)\b", rf"\1_{mode}", source)
        made.append(Component(part.module, source, part.inputs, part.outputs))
    return made


def walk(start: int, flag: int, products: list[int], mode: str) -> tuple[int, int]:
    """Contract, section 2, from a sum and its flag."""
    for product in products:
        exact = start + product
        wrapped = (exact + 2**17) % 2**18 - 2**17
        start = wrapped if mode == "wrap" else min(max(exact, -(2**17)), 2**17 - 1)
        flag |= start != exact
    return start, flag


def draw(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    """Operands, weights, sums to start from and their flags."""
    cases, depth = shape
    return {
        "x": rng.integers(-255, 256, (cases, depth)),
        "weight": rng.choice([-128, -100, 90, 127], (depth, COLUMNS)),
        "sum": rng.integers(-(2**17), 2**17, (cases, COLUMNS)),
        "flag": rng.integers(0, 2, (cases, COLUMNS)),
    }


@PACKED
def test_weight_stationary(packed: bool) -> None:
    """Tiles of weights one after the other, each with `positions` operands per row, without a gap."""
    late = 1 if packed else 0
    rng, tiles, positions = np.random.default_rng(1), 3, 5
    cases = [draw(rng, positions, ROWS) for _ in range(tiles)]
    length = (tiles + 1) * positions + ROWS + COLUMNS + 4 + late
    names = [f"{n}__{k}" for n in ("x", "swap", "load") for k in range(ROWS)]
    names += [f"{n}__{k}" for n in ("weight", "sum_in", "overflowed_in") for k in range(COLUMNS)]
    inputs = {name: np.zeros(length, np.int64) for name in names}
    for tile, case in enumerate(cases):
        base = (tile + 1) * positions
        for r in range(ROWS):
            inputs[f"load__{r}"][base - positions + r] = 1
            inputs[f"swap__{r}"][base - 1 + r] = 1
            inputs[f"x__{r}"][base + r : base + r + positions] = case["x"][:, r]
        for c in range(COLUMNS):
            first = base - positions + c
            inputs[f"weight__{c}"][first : first + ROWS] = case["weight"][:, c]
            first = base + 2 + late + c
            inputs[f"sum_in__{c}"][first : first + positions] = case["sum"][:, c]
            inputs[f"overflowed_in__{c}"][first : first + positions] = case["flag"][:, c]
    overflows = 0
    for mode, out in zip(MODES, play_vectors(arrays("weight_stationary", packed), [inputs, inputs]), strict=True):
        for tile, case in enumerate(cases):
            for p in range(positions):
                for c in range(COLUMNS):
                    cycle = (tile + 1) * positions + p + 2 + late + ROWS + c
                    products = [int(case["x"][p, r] * case["weight"][r, c]) for r in range(ROWS)]
                    total, flag = walk(int(case["sum"][p, c]), int(case["flag"][p, c]), products, mode)
                    assert (out[f"sum__{c}"][cycle], out[f"overflowed__{c}"][cycle]) == (total, flag)
                    overflows += flag and not case["flag"][p, c]
    assert overflows > 5


@PACKED
@pytest.mark.parametrize("depth", [ROWS, 2 * ROWS + 1])
def test_output_stationary(depth: int, packed: bool) -> None:
    """Groups of `ROWS` sums one after the other, `depth` products each, and a flush after the last one."""
    late = 2 if packed else 0
    rng, groups = np.random.default_rng(2), 8
    cases = [draw(rng, ROWS, depth) for _ in range(groups)]
    length = (groups + 2) * depth + 4 * ROWS + COLUMNS + late
    names = [f"{n}__{k}" for n in ("x", "first") for k in range(ROWS)]
    names += [f"{n}__{k}" for n in ("weight", "sum_in", "overflowed_in") for k in range(COLUMNS)]
    inputs = {name: np.zeros(length, np.int64) for name in names}
    for group in range(groups + 1):
        base = ROWS + group * depth
        for r in range(ROWS):
            inputs[f"first__{r}"][base + r] = 1
            if group < groups:
                inputs[f"x__{r}"][base + r : base + r + depth] = cases[group]["x"][r]
        for c in range(COLUMNS if group < groups else 0):
            inputs[f"weight__{c}"][base + c : base + c + depth] = cases[group]["weight"][:, c]
            for r in range(ROWS):
                inputs[f"sum_in__{c}"][base + 2 + late - r + c] = cases[group]["sum"][r, c]
                inputs[f"overflowed_in__{c}"][base + 2 + late - r + c] = cases[group]["flag"][r, c]
    overflows = 0
    for mode, out in zip(MODES, play_vectors(arrays("output_stationary", packed), [inputs, inputs]), strict=True):
        for group, case in enumerate(cases):
            for r in range(ROWS):
                for c in range(COLUMNS):
                    cycle = ROWS + (group + 1) * depth + 2 + late - r + 2 * ROWS + c
                    products = [int(case["x"][r, k] * case["weight"][k, c]) for k in range(depth)]
                    total, flag = walk(int(case["sum"][r, c]), int(case["flag"][r, c]), products, mode)
                    assert (out[f"sum__{c}"][cycle], out[f"overflowed__{c}"][cycle]) == (total, flag)
                    overflows += flag and not case["flag"][r, c]
    assert overflows > 5
