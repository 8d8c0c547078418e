"""Driving components with one vector per clock: many components side by side in one top, built once per simulator."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from .errors import SimulationError
from .simulator import build

PLAYER = Path(__file__).with_name("vector_player.v")
RESET_CYCLES = 2


@dataclass(frozen=True)
class Port:
    """A port of a component: its Verilog name, its width in bits and whether its value is signed."""

    name: str
    width: int
    signed: bool = False

    @property
    def digits(self) -> int:
        """Hexadecimal digits in a line of a vector file."""
        return -(-self.width // 4)


@dataclass(frozen=True)
class Component:
    """A Verilog module to be driven by vectors.

    module : its name, different for all components of one top
    source : Verilog text of the module and everything below it
    inputs, outputs : its ports without clk and rst
    clocked : whether it has the ports clk and rst
    """

    module: str
    source: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    clocked: bool = True


def amaranth_component(component: wiring.Component, module: str) -> Component:
    """An Amaranth component as a `Component`; nested members are named as in its Verilog, ``stream__payload``."""
    ports: dict[wiring.Flow, list[Port]] = {wiring.In: [], wiring.Out: []}
    for path, member, _ in component.signature.flatten(component):
        shape = Shape.cast(member.shape)
        if shape.width:
            ports[member.flow].append(Port("__".join(map(str, path)), shape.width, shape.signed))
    source = verilog.convert(component, name=module, emit_src=False, strip_internal_attrs=True)
    header = re.search(rf"^module {re.escape(module)}\(([^)]*)\)", source, re.MULTILINE)
    clocked = header is not None and "clk" in [name.strip() for name in header[1].split(",")]
    return Component(module, source, tuple(ports[wiring.In]), tuple(ports[wiring.Out]), clocked)


def play_vectors(
    components: Sequence[Component],
    stimuli: Sequence[Mapping[str, ArrayLike]],
    simulator: str = "verilator",
    *,
    drain: int = 0,
    work_dir: Path | None = None,
) -> list[dict[str, NDArray[Any]]]:
    """Apply one vector per clock cycle to every component, and return what the outputs showed in each of these cycles.

    stimuli : for each component {input: integers (N,)}; inputs that are not named stay 0; N may differ per component
    drain : cycles with all inputs 0 after the last vector, as many as the pipeline is deep

    Returns for each component {output: (N + drain,)}, int64, or Python integers where a port is wider than 63 bits.
    Element k was taken in the cycle in which vector k was applied, so the output of a pipeline of L stages for vector k
    is element k + L. Before the first vector there are two cycles of reset. `SimulationError` for unknown bits (x).
    """
    if len(stimuli) != len(components):
        raise ValueError(f"stimuli must be as many as components ({len(components)}), not {len(stimuli)}")
    lines = [_stimulus_lines(component, values, drain) for component, values in zip(components, stimuli, strict=True)]
    sources = [(f"{component.module}.v", component.source) for component in components]
    sources += [(PLAYER.name, PLAYER.read_text(encoding="utf-8")), ("vector_top.v", _top(components))]
    built = build(sources, "vector_top", simulator)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
        folder = Path(work_dir or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for index, text in enumerate(lines):
            (folder / f"stimuli_{index}.hex").write_text(text, encoding="ascii")
        built.play(folder)
        return [
            _responses(component, (folder / f"responses_{index}.hex").read_text(encoding="ascii"))
            for index, component in enumerate(components)
        ]


def _stimulus_lines(component: Component, values: Mapping[str, ArrayLike], drain: int) -> str:
    """One hexadecimal number per vector: the inputs in their order, each padded to whole digits."""
    widths = {port.name: port.width for port in component.inputs}
    for name in values:
        if name not in widths:
            raise ValueError(
                f"{component.module} must have one of its inputs ({', '.join(widths)}) driven, not {name!r}"
            )
    integers = {name: np.atleast_1d(np.asarray(column)).tolist() for name, column in values.items()}
    lengths = {len(column) for column in integers.values()}
    if len(lengths) != 1:
        raise ValueError(
            f"all inputs of {component.module} must have the same number of vectors, not {sorted(lengths)}"
        )
    (length,) = lengths
    columns = []
    for port in component.inputs:
        low, high = (-(1 << (port.width - 1)) if port.signed else 0), (1 << (port.width - port.signed)) - 1
        column = integers.get(port.name, [0] * length)
        if column and not low <= min(column) <= max(column) <= high:
            raise ValueError(
                f"{component.module}.{port.name} must be from {low} to {high}, not {min(column)} … {max(column)}"
            )
        mask = (1 << port.width) - 1
        columns.append([f"{int(value) & mask:0{port.digits}x}" for value in column])
    zero = "0" * sum(port.digits for port in component.inputs)
    return "".join(f"{line}\n" for line in ["".join(digits) for digits in zip(*columns, strict=True)] + [zero] * drain)


def _responses(component: Component, text: str) -> dict[str, NDArray[Any]]:
    lines = text.split()
    result: dict[str, NDArray[Any]] = {}
    position = 0
    for port in component.outputs:
        column = []
        half = 1 << (port.width - 1) if port.signed else 0
        for cycle, line in enumerate(lines):
            digits = line[position : position + port.digits]
            try:
                column.append((int(digits, 16) ^ half) - half)
            except ValueError:
                raise SimulationError(f"{component.module}.{port.name} is unknown in cycle {cycle}: {digits}") from None
        result[port.name] = np.array(column, np.int64 if port.width < 64 else object)
        position += port.digits
    return result


def _top(components: Sequence[Component]) -> str:
    """Verilog of a top with a player for each component; `finished` rises when all have played all their vectors."""
    everything = "{" + ", ".join(f"finished_{index}" for index in range(len(components))) + "}"
    text = [
        "`timescale 1ns / 1ns",
        "`ifdef VERILATOR",
        "module vector_top (input wire clk, output reg finished);",
        "`else",
        "module vector_top;",
        "  reg clk = 0;",
        "  always #1 clk = !clk;",
        "  reg finished;",
        '  always @(posedge finished) begin $display("finished"); $finish; end',
        "`endif",
        "  reg [7:0] cycle = 0;",
        f"  wire rst = cycle < {RESET_CYCLES};",
        "  always @(posedge clk) if (rst) cycle <= cycle + 1;",
    ]
    for index, component in enumerate(components):
        text += _instance(index, component)
    text += [
        "  initial finished = 0;",
        f"  always @(posedge clk) finished <= &{everything};",
        "endmodule",
    ]
    return "\n".join(text) + "\n"


def _instance(index: int, component: Component) -> list[str]:
    """Verilog of one component and its player."""
    stimulus_bits = 4 * sum(port.digits for port in component.inputs)
    response_bits = 4 * sum(port.digits for port in component.outputs)
    connections = [".clk(clk)", ".rst(rst)"] if component.clocked else []
    lines = []
    top_bit = stimulus_bits
    for port in component.inputs:
        top_bit -= 4 * port.digits
        connections.append(f".{port.name}(stimulus_{index}[{top_bit} +: {port.width}])")
    top_bit = response_bits
    for port in component.outputs:
        top_bit -= 4 * port.digits
        connections.append(f".{port.name}(response_{index}[{top_bit} +: {port.width}])")
        if port.width % 4:
            lines.append(f"  assign response_{index}[{top_bit + port.width} +: {4 - port.width % 4}] = 0;")
    widths = f"#(.INDEX({index}), .STIMULUS_BITS({stimulus_bits}), .RESPONSE_BITS({response_bits}))"
    wires = ", ".join(f".{name}({name}_{index})" for name in ("stimulus", "response", "finished"))
    return [
        f"  wire [{stimulus_bits - 1}:0] stimulus_{index};",
        f"  wire [{response_bits - 1}:0] response_{index};",
        f"  wire finished_{index};",
        *lines,
        f"  {component.module} component_{index} ({', '.join(connections)});",
        f"  vector_player {widths} player_{index} (.clk(clk), .rst(rst), {wires});",
    ]
