"""Multipliers and block RAMs get places that an ECP5-85 has, each its own, the columns in their order."""

from __future__ import annotations

import re
from typing import Any

import pytest

from codesign.synthesis.floorplan import fix_places
from emulator.config import AcceleratorConfig

CONFIG = AcceleratorConfig(8, 8)
LANE_MULTIPLIERS = (
    "requantizer.a",
    "requantizer.b",
    "requantizer.c",
    "own",
    "adder.a",
    "adder.b",
    "adder.c",
    "adder.d",
)


def make_module(config: AcceleratorConfig, more_memories: int = 0) -> dict[str, Any]:
    lanes = config.columns // config.lane_columns
    multipliers = [f"compute.array.element_{r}_{c}.m" for r in range(config.rows) for c in range(config.columns)]
    multipliers += [f"post_processing.lane_{lane}.{name}" for lane in range(lanes) for name in LANE_MULTIPLIERS]
    multipliers += ["compute.unit.setup.m"]
    memories = [f"compute.accumulator_lane_{c}.bank_{b}.0.0" for c in range(config.columns) for b in range(2)]
    memories += [f"post_processing.lane_{lane}.parameters_0.0.0" for lane in range(lanes)]
    memories += [f"compute.weight.memory.0.{part}" for part in range(2 * config.columns)]
    for queue, parts in (("convolve", 7), ("post_process", 8), ("load", 6), ("store", 6)):
        memories += [f"front_end.sequencer.{queue}_queue.entries.0.{part}" for part in range(parts)]
    memories += ["front_end.sequencer.fetch.words.0.0", "front_end.telemetry.halves.0.0", "store.buffer.0.0"]
    memories += [f"compute.activation.memory.0.{part}" for part in range(more_memories)]
    cells = {name: {"type": "MULT18X18D", "attributes": {}} for name in multipliers}
    cells |= {name: {"type": "DP16KD", "attributes": {}} for name in memories}
    return {"cells": cells, "ports": {}}


def places(module: dict[str, Any]) -> dict[str, tuple[int, int, str]]:
    """Cell → x, y and the place's name in that tile."""
    found = {}
    for name, cell in module["cells"].items():
        if match := re.fullmatch(r"X(\d+)/Y(\d+)/(\w+)", cell["attributes"].get("BEL", "")):
            found[name] = int(match[1]), int(match[2]), match[3]
    return found


@pytest.mark.parametrize("config", [CONFIG, AcceleratorConfig(8, 8, post_process_lanes=2), AcceleratorConfig(2, 2)])
def test_places(config: AcceleratorConfig) -> None:
    module = make_module(config)
    count = fix_places(module, config)
    found = places(module)
    assert count == len(found) == len(module["cells"]) - 1  # the window's multiplier belongs to no column
    assert len(set(found.values())) == count
    for name, (x, y, place) in found.items():
        group = (x - 4 - 2 * (x >= 69)) % 9  # a gap of two tiles in the middle of the chip
        if module["cells"][name]["type"] == "MULT18X18D":
            assert y in (10, 34, 58) and place == f"MULT18_{group}" and group in (0, 1, 4, 5)
        else:
            assert y in (22, 46, 70, 82) and place == f"EBR{group // 2}" and group in (0, 2, 4, 6)


def test_columns_lie_side_by_side_and_rows_below_each_other() -> None:
    module = make_module(CONFIG)
    fix_places(module, CONFIG)
    found = places(module)

    def mean(axis: int, pattern: str) -> float:
        of = [place[axis] for name, place in found.items() if re.search(pattern, name)]
        return sum(of) / len(of)

    for pattern in (r"element_\d+_{}\.", r"accumulator_lane_{}\.", r"post_processing\.lane_{}\."):
        columns = [mean(0, pattern.format(c)) for c in range(CONFIG.columns)]
        assert columns == sorted(columns)
        assert columns[-1] - columns[0] > 80  # nearly all multipliers are in use, so the whole width is
    rows = [mean(1, rf"element_{r}_\d+") for r in range(CONFIG.rows)]
    assert rows == sorted(rows)
    assert mean(1, "element") < mean(1, "requantizer") < mean(1, "adder")


def test_a_queue_lies_below_the_columns_in_one_piece() -> None:
    module = make_module(CONFIG)
    fix_places(module, CONFIG)
    for queue in ("convolve", "post_process", "load", "store"):
        at = [place for name, place in places(module).items() if f".{queue}_queue." in name]
        assert min(y for _, y, _ in at) >= 70
        assert max(x for x, _, _ in at) - min(x for x, _, _ in at) <= 30


def test_a_small_accelerator_stays_together() -> None:
    config = AcceleratorConfig(2, 2)
    module = make_module(config)
    fix_places(module, config)
    at = [x for x, _, _ in places(module).values()]
    assert max(at) - min(at) < 40


def test_what_does_not_fit_is_left_to_the_placer() -> None:
    module = make_module(CONFIG, more_memories=200)
    assert fix_places(module, CONFIG) == 0
    assert places(module) == {}
