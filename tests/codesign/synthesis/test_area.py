"""Area by Yosys alone: what is counted, what makes hardware the same, what fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.synthesis import area
from codesign.synthesis.area import SMALL, count_area, hardware_key, synthesize_area, without_zeros
from codesign.synthesis.devices import DEVICES, fits, missing
from emulator import AcceleratorConfig
from emulator.arithmetic import ADDERS, OVERFLOWS, ROUNDINGS
from emulator.config import DATAFLOWS

CONFIG = AcceleratorConfig(rows=2, columns=2)


def cell(kind: str) -> dict[str, Any]:
    return {"type": kind, "connections": {}, "port_directions": {}}


def netlist() -> dict[str, Any]:
    """A top with two elements and a lane, of which each stands for itself."""
    top = {f"compute.array.element_{i}_0": "processing_element" for i in range(2)}
    top |= {"post_processing.lane_0": "post_process_lane"}
    top |= dict.fromkeys(("compute", "compute.array", "load"), "$scopeinfo")
    top |= {"load.a_LUT4_Z": "LUT4", "load.b_CCU2C_S0": "CCU2C", "compute.memory_DP16KD_1": "DP16KD", "x": "TRELLIS_FF"}
    element = {"p": "MULT18X18D", **{f"q_{i}": "LUT4" for i in range(5)}}
    lane = {"r": "TRELLIS_FF", "s": "TRELLIS_DPR16X4"}
    modules = {"accelerator": top, "processing_element": element, "post_process_lane": lane, "LUT4": {"y": "LUT4"}}
    return {
        "modules": {
            name: {"cells": {path: cell(kind) for path, kind in cells.items()}, "ports": {}}
            for name, cells in modules.items()
        }
    }


def test_a_module_counts_as_often_as_it_is_there() -> None:
    found = count_area(CONFIG, netlist())
    assert found.resources == {"LUTs": 2 * 5 + 6 + 1 + 2, "FFs": 2, "BRAMs": 1, "DSPs": 2}
    assert found.parts == {
        "compute.array": (1, {"LUTs": 10, "FFs": 0, "BRAMs": 0, "DSPs": 2}),
        "post_processing.lane": (1, {"LUTs": 6, "FFs": 1, "BRAMs": 0, "DSPs": 0}),
        "load": (1, {"LUTs": 3, "FFs": 0, "BRAMs": 0, "DSPs": 0}),
        "compute": (1, {"LUTs": 0, "FFs": 0, "BRAMs": 1, "DSPs": 0}),
        "": (1, {"LUTs": 0, "FFs": 1, "BRAMs": 0, "DSPs": 0}),
    }


def test_only_large_memories_of_zeros_are_shortened() -> None:
    def block(name: str, words: int, last: str = "8'h00") -> str:
        values = ["8'h00"] * (words - 1) + [last]
        lines = "".join(f"    {name}[{i}] = {value};\n" for i, value in enumerate(values))
        return f"  initial begin\n{lines}  end\n"

    kept = block("small", 128) + block("full", 200, "8'h01")
    assert without_zeros("a\n" + block("large", 129) + block("\\escaped ", 256, "8'd0") + kept) == "a\n" + kept


def test_configs_of_one_hardware_have_one_key() -> None:
    """A scratchpad has whole rows: a byte more is another config, and the same Verilog."""
    longer = replace(SMALL, activation_scratchpad_bytes=SMALL.activation_scratchpad_bytes + 1)
    assert longer.hash() != SMALL.hash() and longer.activation_depth == SMALL.activation_depth
    assert hardware_key(longer) == hardware_key(SMALL)
    assert hardware_key(replace(SMALL, counters=False)) != hardware_key(SMALL)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        *((name, (False, True)) for name in ("counters", "weight_zero_points", "raw_outputs", "packed_multipliers")),
        ("post_process_lanes", (0, 1)),
        ("dataflow", DATAFLOWS),
        ("bus_bytes", (8, 16, 32)),
        ("overflow", OVERFLOWS),
        ("rounding", ROUNDINGS),
        ("adder", ADDERS),
    ],
)
def test_the_fingerprint_sees_a_change_of_what_any_choice_makes(
    field: str, values: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(changed: object) -> str:
        def text(config: AcceleratorConfig) -> str:
            chosen = getattr(config, field, None) if hasattr(config, field) else getattr(config.arithmetic, field)
            return f"/* written by */\nmodule top;\n{'  wire changed;' if chosen == changed else ''}\nendmodule\n"

        monkeypatch.setattr(area, "hardware_text", text)
        return area.fingerprint.__wrapped__()

    found = [of(value) for value in (None, *values)]
    assert len(set(found)) == len(found)


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="target must be ecp5, not 'ice40'"):
        synthesize_area(CONFIG, tmp_path, "ice40")


def test_what_fits() -> None:
    whole = dict(DEVICES["LFE5U-25F"])
    assert not fits(whole, "LFE5U-25F")  # packing takes more sites than there are LUTs
    less = {**whole, "LUTs": 20_000}
    assert fits(less, "LFE5U-25F") and missing({**less, "BRAMs": 59}, "LFE5U-25F") == {"BRAMs": 3}
    with pytest.raises(ValueError, match="device must be one of LFE5U-25F"):
        fits(less, "XC7A100T")
