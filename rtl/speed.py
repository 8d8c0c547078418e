"""How fast a simulator is with the accelerator's systolic array alone."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from emulator.config import AcceleratorConfig

from .array.compute import make_array
from .simulation import BuiltSimulator, SimulationError, build
from .simulation.vectors import Component, amaranth_component
from .verilog.hierarchy import write_verilog

LFSR_BITS = 32
LFSR_MASK = 0x80200003
TOP = Path(__file__).parent / "simulation" / "array_top.v"


def array_speed(config: AcceleratorConfig, cycles: int, threads: int = 1) -> tuple[int, float]:
    """(clock cycles, seconds) of the accelerator's array alone in Verilator, random numbers at all its inputs."""
    built = build_array(config, threads)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        (Path(folder) / "cycles.txt").write_text(f"{cycles}\n", encoding="ascii")
        return simulated_time(built.play(Path(folder)))


def build_array(config: AcceleratorConfig, threads: int = 1) -> BuiltSimulator:
    """The array between registers that hold random numbers, built with the accelerator's flags."""
    component = make_array(config)
    array = amaranth_component(component, "systolic_array")
    sources = [
        ("elements.v", write_verilog(component.kinds)),
        ("systolic_array.v", array.source),
        ("fed_array.v", fed_array(array)),
        (TOP.name, TOP.read_text(encoding="utf-8")),
    ]
    return build(sources, "array_top", threads=threads)


def fed_array(array: Component) -> str:
    """Verilog of the array with a linear feedback register for every 32 bits of its inputs, stepping in every cycle."""
    total = sum(port.width for port in array.inputs)
    registers = -(-total // LFSR_BITS)
    lines = ["module fed_array (input wire clk, input wire rst, output wire [31:0] outputs);"]
    for k in range(registers):
        start = (k * 0x9E3779B9 + 1) % (1 << LFSR_BITS)
        lines += [
            f"  reg [31:0] random_{k} = 32'h{start:x};",
            f"  always @(posedge clk) random_{k} <= random_{k}[31:1] ^ (random_{k}[0] ? 32'h{LFSR_MASK:x} : 32'h0);",
        ]
    everything = ", ".join(f"random_{k}" for k in reversed(range(registers)))
    lines.append(f"  wire [{LFSR_BITS * registers - 1}:0] random = {{{everything}}};")
    connections, position = [".clk(clk)", ".rst(rst)"], 0
    for port in array.inputs:
        connections.append(f".{port.name}(random[{position} +: {port.width}])")
        position += port.width
    folds = []
    for port in array.outputs:
        lines.append(f"  wire [{port.width - 1}:0] {port.name};")
        connections.append(f".{port.name}({port.name})")
        folds += [f"{port.name}[{first} +: {min(32, port.width - first)}]" for first in range(0, port.width, 32)]
    lines += [
        f"  {array.module} array ({', '.join(connections)});",
        f"  assign outputs = {' ^ '.join(folds)};",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def simulated_time(log: Path) -> tuple[int, float]:
    """(clock cycles, seconds of the clock on the wall) as the simulator's main program reports them in its log."""
    found = re.search(r"simulated (\d+) clock cycles in ([0-9.]+) s", log.read_text(encoding="utf-8"))
    if found is None:
        raise SimulationError(f"{log} does not say how long the simulation took")
    return int(found[1]), float(found[2])
