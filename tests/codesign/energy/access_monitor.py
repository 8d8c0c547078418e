"""Counters on the memories' ports of the RTL, written into its Verilog: what a run uses, counted in every cycle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emulator import AcceleratorConfig, Program
from emulator.instructions import Mode
from emulator.timing import DEFAULT_LATENCY
from rtl.accelerator import accelerator_verilog
from rtl.simulation import Plan, SimulatedRun, build_testbench, run_plans

POST = "post_processing.unit"
SETTINGS = f"{POST}.settings"
ISSUES = f"{POST}.results.issued && !{POST}.counting"
"""A result that is not a count; one row of the output scratchpad is written for it, when later instructions may have
other settings."""


def events(config: AcceleratorConfig) -> dict[str, str]:
    """Count → what its events add in a cycle, as Verilog inside the module ``accelerator``.

    Memories with an enable are counted at it. Those that read in every cycle are counted where the control says that
    what they read is used. Lanes' memories are counted at lane 0, whose control the others repeat a cycle later each.
    """
    elements, columns = config.rows * config.columns, config.columns
    byte = f"{SETTINGS}_byte == 0" if config.raw_outputs else "1"
    lane_byte = "compute.accumulator_lane_0.parameter_write"
    taps, chain = config.depthwise_taps, f"{POST}.depthwise"
    begins = f"{POST}.go && !{POST}.counting && {SETTINGS}_depthwise" if taps else "0"
    loads = f"{POST}.control_load && {SETTINGS}_depthwise && {POST}.is_window" if taps else "0"
    window = f"!{SETTINGS}_requantize && !{SETTINGS}_depthwise" if taps else f"!{SETTINGS}_requantize"
    lines = "".join(f" + {POST}.line_read__{k}" for k in range(max(taps // 3 - 1, 0)))
    return {
        "activation_writes": "load.write_activation",
        "activation_reads": "compute.unit.positions && compute.unit.inside_",
        "weight_writes": "load.write_weight",
        "weight_reads": "compute.unit.read_weight",
        "operand_writes": "load.write_operand",
        "operand_reads": f"{POST}.operand_read{lines}",
        "output_writes": f"{POST}.output_write",
        "output_reads": "store.output_read",
        "accumulator_writes": "compute.unit.accumulate_write",
        "accumulator_reads": f"compute.unit.accumulate_carry + {POST}.accumulator_read",
        "parameter_writes": f"{lane_byte}[{config.parameter_rows - 1}:0] != 0",
        # Each sum that is written began with a bias, or with a sum that was read.
        "bias_reads": f"compute.unit.accumulate_write - compute.unit.accumulate_carry + ({loads})",
        "multiplier_reads": f"{POST}.control_load",
        "zero_point_reads": f"compute.unit.read_weight + ({loads})" if config.weight_zero_points else "0",
        "table_writes": "load.write_table",
        "table_reads": f"{ISSUES} && {POST}.table_",
        "depthwise_writes": f"load.write_depthwise && load.write_address % {config.depthwise_pitch} < {taps}",
        "depthwise_reads": f"{begins} && {chain}.swap",
        "waiting_writes": f"{POST}.control_chain_write",
        "waiting_reads": f"{begins} && {chain}.candidate_begin && {chain}.candidate_carry",
        "depthwise_macs": f"{taps * columns} * ({begins} && {chain}.candidate_begin)",
        "macs": f"{elements} * compute.unit.positions",
        "macs_inside": f"{elements} * (compute.unit.positions && compute.unit.inside_)",
        "requantizations": f"{columns} * ({ISSUES} && {byte})",
        "reductions": f"{columns} * ({POST}.operand_read && {window})",
        "products": f"{columns} * ({ISSUES} && {window} && {SETTINGS}_mode == {int(Mode.PRODUCT)})",
        "additions": f"{columns} * ({ISSUES} && {POST}.add)",
        "bytes_fetched": f"{config.bus_bytes} * front_end.sequencer.fetch.valid",
        "bytes_loaded": f"{config.bus_bytes} * (axi__rvalid && axi__rready && !front_end.sequencer.fetch.valid)",
        "bytes_stored": f"{config.bus_bytes} * (axi__wvalid && axi__wready)",
    }


def monitored_verilog(config: AcceleratorConfig) -> str:
    """The accelerator's Verilog; after each run its top module writes a line of counts to ``accesses.txt``."""
    added = events(config)
    counters = "".join(f"  reg signed [47:0] count_{name} = 0;\n" for name in added)
    steps = "".join(f"    count_{name} = count_{name} + $signed(32'd0 + ({step}));\n" for name, step in added.items())
    shown = ", ".join(f"count_{name}" for name in added)
    cleared = " ".join(f"count_{name} = 0;" for name in added)
    monitor = f"""{counters}
  integer accesses = 0;
  reg interrupted = 0;
  always @(posedge clk) begin
{steps}    if (interrupt && !interrupted) begin
      if (accesses == 0) accesses = $fopen("accesses.txt", "w");
      $fdisplay(accesses, "{" ".join(["%0d"] * len(added))}", {shown});
      $fflush(accesses);
    end
    if (interrupt || front_end.telemetry.clear) begin {cleared} end
    interrupted = interrupt;
  end
"""
    before, top, after = accelerator_verilog(config).partition("\nmodule accelerator(")
    body, end, rest = after.partition("\nendmodule")
    return before + top + body + "\n" + monitor + end + rest


def rtl_accesses(
    config: AcceleratorConfig, programs: Sequence[Program], folder: Path, simulator: str, seed: int
) -> tuple[list[dict[str, int]], list[SimulatedRun]]:
    """What each program uses in the RTL, and its runs; the files of the simulation lie in `folder`."""
    sources = [("accelerator.v", monitored_verilog(config))]
    testbench = build_testbench(sources, config.bus_bytes, config.columns, simulator)
    plans = [Plan(p.image, p.program_address, p.program_bytes, DEFAULT_LATENCY, seed) for p in programs]
    runs = run_plans(testbench, plans, work_dir=folder)
    names = list(events(config))
    lines = (folder / "accesses.txt").read_text(encoding="ascii").splitlines()
    return [dict(zip(names, map(int, line.split()), strict=True)) for line in lines], runs
