"""The exported Verilog as Verilator's linter, Icarus and Vivado take it, and its names."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from emulator import AcceleratorConfig, Arithmetic
from rtl.accelerator import accelerator_verilog
from rtl.simulation.tools import find_simulator
from rtl.verilog.header import WAIVED, header
from rtl.verilog.keywords import KEYWORDS
from rtl.verilog.plain_names import rename

CONFIGS = {
    "weight stationary": AcceleratorConfig(rows=2, columns=3, arithmetic=Arithmetic(accumulator_bits=20)),
    "everything, output stationary": AcceleratorConfig(
        rows=3, columns=2, dataflow="output_stationary", weight_zero_points=True, raw_outputs=True, bus_bytes=16,
        depthwise_taps=9, packed_multipliers=True,
        arithmetic=Arithmetic(adder="rescaled", overflow="saturate", rounding="half_even"),
    ),
}  # fmt: skip


def exported(config: AcceleratorConfig, prefix: str = "") -> str:
    return header(config, prefix) + accelerator_verilog(config, prefix)


@pytest.mark.parametrize("name", CONFIGS)
def test_verilator_finds_nothing(name: str, tmp_path: Path) -> None:
    file = tmp_path / "accelerator.v"
    file.write_text(exported(CONFIGS[name]))
    verilator = find_simulator("verilator")
    for options in ([], ["-Wall"]):
        command = [verilator.executable, "--lint-only", *options, "--top-module", "accelerator", str(file)]
        lint = subprocess.run(command, capture_output=True, text=True, env=verilator.environment)
        assert lint.returncode == 0 and not lint.stderr, lint.stderr[:2000]


def test_each_waiver_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "accelerator.v"
    file.write_text(accelerator_verilog(CONFIGS["weight stationary"]))
    verilator = find_simulator("verilator")
    command = [verilator.executable, "--lint-only", "-Wall", "--top-module", "accelerator", str(file)]
    lint = subprocess.run(command, capture_output=True, text=True, env=verilator.environment)
    assert set(re.findall(r"^%Warning-(\w+)", lint.stderr, re.MULTILINE)) == set(WAIVED)


@pytest.mark.parametrize("name", CONFIGS)
def test_names_are_plain(name: str) -> None:
    text = accelerator_verilog(CONFIGS[name])
    assert "\\" not in text
    assert set(re.findall(r"\$\w+", text)) <= {"$signed"}
    declared = re.findall(r"^ *(?:input|output|wire|reg)(?: signed)?(?: \[\d+:\d+\])? (\w+)", text, re.MULTILINE)
    assert len(declared) > 1000
    assert not KEYWORDS & set(declared)


def test_a_port_without_a_name_has_the_same_one_in_every_design() -> None:
    wires = "  wire input 0 \\{0}\n  wire input 1 \\{1}\n  connect \\{1} \\{0}\n"
    text = f"module \\top\n{wires}end\n"
    plain = text.format("port", "port_2")
    assert all(rename(text.format(f"port${n}$0", f"port${n + 4}$1")) == plain for n in (72, 3382))


def test_two_accelerators_in_one_design(tmp_path: Path) -> None:
    (tmp_path / "first.v").write_text(exported(CONFIGS["weight stationary"], "a_"))
    (tmp_path / "second.v").write_text(exported(CONFIGS["everything, output stationary"], "b_"))
    (tmp_path / "top.v").write_text(TOP)
    icarus = find_simulator("icarus")
    files = [str(tmp_path / f"{name}.v") for name in ("first", "second", "top")]
    made = subprocess.run(
        [icarus.executable, "-g2005", "-o", str(tmp_path / "top"), *files], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    run = subprocess.run(["vvp", str(tmp_path / "top")], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["000", "000"], "valid and interrupt are 0 at time 0, without a clock"


TOP = """
module top;
  wire [2:0] first, second;
  a_accelerator a(
    .clk(1'b0), .rst(1'b0), .axi__arvalid(first[0]), .axi__awvalid(first[1]), .interrupt(first[2]),
    .axi__arready(1'b1), .axi__awready(1'b1), .axi__wready(1'b1), .axi__rvalid(1'b0), .axi__bvalid(1'b0),
    .lite__awvalid(1'b0), .lite__wvalid(1'b0), .lite__arvalid(1'b0), .lite__rready(1'b1), .lite__bready(1'b1)
  );
  b_accelerator b(
    .clk(1'b0), .rst(1'b0), .axi__arvalid(second[0]), .axi__awvalid(second[1]), .interrupt(second[2]),
    .axi__arready(1'b1), .axi__awready(1'b1), .axi__wready(1'b1), .axi__rvalid(1'b0), .axi__bvalid(1'b0),
    .lite__awvalid(1'b0), .lite__wvalid(1'b0), .lite__arvalid(1'b0), .lite__rready(1'b1), .lite__bready(1'b1)
  );
  initial begin
    #1 $display("%b %b", first, second);
    $finish;
  end
endmodule
"""


def test_vivado_sees_the_buses() -> None:
    text = accelerator_verilog(CONFIGS["weight stationary"], "p_")
    (top,) = re.findall(r"^module p_accelerator\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    seen = dict(
        re.findall(r'\(\* X_INTERFACE_INFO = "(.*?)" \*\)\s*(?:\(\*.*?\*\)\s*)?(?:in|out)put (?:\[.*?\] )?(\w+);', top)
    )
    ports = re.findall(r"^  (?:input|output) (?:\[.*?\] )?(\w+);", top, re.MULTILINE)
    assert sorted(seen.values()) == sorted(ports)
    assert {port: info for info, port in seen.items()}["axi__wstrb"] == "xilinx.com:interface:aximm:1.0 m_axi WSTRB"
    assert "X_INTERFACE" not in text.replace(top, "")


def test_header_names_the_config() -> None:
    config = CONFIGS["weight stationary"]
    text = header(config, "p_")
    assert config.hash() in text and "top module p_accelerator" in text and "Apache-2.0" in text
    assert all(f"// {name} = " in text for name in ("rows", "arithmetic.accumulator_bits"))
