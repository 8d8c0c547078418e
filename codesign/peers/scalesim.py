"""SCALE-Sim 3.0 on the layers of a graph: our accelerator and shapes in its files, its cycles out of its report.

What it models is a systolic array of rows × columns behind three double-buffered memories; a layer is a dense
convolution, simulated alone. So a graph's pools, adds, tables and moves have no line there, nor has post-processing.

| SCALE-Sim | here |
|---|---|
| ArrayHeight, ArrayWidth, Dataflow | rows, columns, ``ws`` or ``os`` |
| ifmapsramszkB, filtersramszkB | activation and weight scratchpad, rounded up to whole KiB |
| ofmapsramszkB | a word for each code of the output scratchpad and each sum of the accumulators: it is both |
| IfmapSRAMBankBandwidth, FilterSRAMBankBandwidth | bus_bytes; the two have a bus each there, ours share one |
| Bandwidth | bus_bytes |
| latency of the memory | 1 cycle: no key of the file sets it |

In the mode USER its writes go by `Bandwidth`, and its reads by the banks' bandwidth, whatever `IfmapCustomLayout` says.
"""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.config import KIB, AcceleratorConfig
from emulator.graph import Convolution, Graph, Linear, map_size

from .estimators import run_estimator

DATAFLOWS = {"weight_stationary": "ws", "output_stationary": "os"}
COLUMNS = {"with_prefetch": "Total Cycles (incl. prefetch)", "total": "Total Cycles", "stalls": "Stall Cycles"}
"""Field of `LayerCycles` → column of SCALE-Sim's COMPUTE_REPORT.csv."""
CONFIG = """[general]
run_name = run
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
ifmapsramszkB: {ifmap}
filtersramszkB: {filter}
ofmapsramszkB: {ofmap}
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: {bus}
Dataflow: {dataflow}
ReadRequestBuffer: 60
WriteRequestBuffer: 60
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: {bus}
IfmapSRAMBankNum: 1
IfmapSRAMBankPort: 1
FilterCustomLayout: False
FilterSRAMBankBandwidth: {bus}
FilterSRAMBankNum: 1
FilterSRAMBankPort: 1
[sparsity]
SparsitySupport: false
[run_presets]
InterfaceBandwidth: USER
UseRamulatorTrace: False
"""
# It makes numbers of arrays of one element by int(max(…)), which NumPy 2.4 and later refuse: max() gives the element.
SCRIPT = """
import builtins
import numpy
from scalesim.memory import double_buffered_scratchpad_mem, read_buffer
from scalesim.scale_sim import scalesim

def largest(*values):
    found = builtins.max(*values)
    return found.item() if isinstance(found, numpy.ndarray) else found

for module in (double_buffered_scratchpad_mem, read_buffer):
    module.max = largest

def run(config, topology, layout):
    simulation = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout)
    simulation.run_scale(top_path=".")
"""


@dataclass(frozen=True)
class Layer:
    """A convolution without padding, as SCALE-Sim takes it: codes of the map, the kernel, a stride for both axes.

    copies : equal convolutions of which the layer consists: a depthwise one is one of a channel and a filter for each
        channel, which is also what SCALE-Sim makes of a layer whose name holds ``DP``
    """

    name: str
    height: int
    width: int
    kernel: tuple[int, int]
    channels: int
    filters: int
    stride: int = 1
    copies: int = 1


@dataclass(frozen=True)
class LayerCycles:
    """SCALE-Sim's cycles of a layer.

    total : from the first operand with full memories, stalls included, to the last write into the output memory
    with_prefetch : from the first read of the external memory to the last write into it
    stalls : cycles of `total` in which the array waits
    """

    total: int
    with_prefetch: int
    stalls: int


@dataclass(frozen=True)
class Simulated:
    """layers : name → cycles, in the graph's order; seconds : processor seconds of all of them together."""

    layers: dict[str, LayerCycles]
    seconds: float


def layers(graph: Graph) -> list[Layer]:
    """The convolutions and linear layers of `graph`.

    Their maps are as large as the windows reach, padding included: SCALE-Sim has no padding, and rounds the number of
    output rows and columns *up*, so that a row which no window reaches would make one more.

    Raises ``ValueError`` naming a layer with dilations, or whose strides differ along axes that it walks: SCALE-Sim has
    neither.
    """
    found = []
    for node in graph.nodes:
        if isinstance(node, Linear):
            depth, filters = node.weight.shape
            found.append(Layer(node.name, math.prod(node.shape[:-1]), 1, (1, 1), depth, filters))
        elif isinstance(node, Convolution):
            found.append(_convolution(node))
    return found


def _convolution(node: Convolution) -> Layer:
    filters, *kernel, channels = node.weight.shape
    sizes = map_size(node)
    walked = {stride for stride, size in zip(node.strides, sizes, strict=True) if size > 1}
    if len(walked) > 1:
        raise ValueError(f"{node.name}: SCALE-Sim has one stride for both axes, not {node.strides}")
    if any(step > 1 and size > 1 for step, size in zip(node.dilations, kernel, strict=True)):
        raise ValueError(f"{node.name}: SCALE-Sim has no dilations, not {node.dilations}")
    stride = walked.pop() if walked else 1
    height, width = ((count - 1) * stride + reach for count, reach in zip(sizes, kernel, strict=True))
    return Layer(
        node.name, height, width, (kernel[0], kernel[1]), channels, filters // node.groups, stride, node.groups
    )


def configuration(config: AcceleratorConfig) -> str:
    """`config` as SCALE-Sim's configuration file; the module says what stands for what."""
    words = config.output_scratchpad_bytes + config.accumulator_depth * config.columns
    return CONFIG.format(
        rows=config.rows,
        columns=config.columns,
        ifmap=-(-config.activation_scratchpad_bytes // KIB),
        filter=-(-config.weight_scratchpad_bytes // KIB),
        ofmap=-(-words // KIB),
        bus=config.bus_bytes,
        dataflow=DATAFLOWS[config.dataflow],
    )


def topology(given: Iterable[Layer]) -> str:
    """SCALE-Sim's topology file: a line for each copy of each layer.

    Every line ends with a comma, because what stands behind the last one is dropped; the names are numbers, because a
    name with ``DP`` in it would make the line many.
    """
    lines = ["Layer, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"]
    for layer in given:
        sizes = (layer.height, layer.width, *layer.kernel, layer.channels, layer.filters, layer.stride)
        lines += [f"L{len(lines) + copy}, {', '.join(map(str, sizes))}," for copy in range(layer.copies)]
    return "\n".join(lines) + "\n"


def run_scalesim(given: Sequence[Layer], config: AcceleratorConfig, timeout: float = 600) -> Simulated:
    """`given` layers one after the other in SCALE-Sim, in another process and a temporary folder.

    Raises ``ValueError``, one sentence, where SCALE-Sim is absent, fails, or takes more than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-") as name:
        folder = Path(name)
        lines = topology(given)
        layout = "\n".join(["layout,", *["L, " + "1, " * 20] * (lines.count("\n") - 1)]) + "\n"
        for file, text in (("run.cfg", configuration(config)), ("layers.csv", lines), ("layout.csv", layout)):
            (folder / file).write_text(text)
        seconds = run_estimator("SCALE-Sim", SCRIPT, ("run.cfg", "layers.csv", "layout.csv"), folder, timeout)
        return Simulated(read_report((folder / "run" / "COMPUTE_REPORT.csv").read_text(), given), seconds)


def read_report(text: str, given: Sequence[Layer]) -> dict[str, LayerCycles]:
    """Layer → cycles of all its copies, out of COMPUTE_REPORT.csv, whose lines are those of `topology`.

    Raises ``ValueError`` where columns are absent, or the number of lines is another.
    """
    header, *lines = [[cell.strip() for cell in line] for line in csv.reader(text.splitlines())]
    absent = [column for column in COLUMNS.values() if column not in header]
    copies = sum(layer.copies for layer in given)
    if absent or len(lines) != copies:
        what = f"a column {absent[0]!r}" if absent else f"{copies} lines, not {len(lines)}"
        raise ValueError(f"SCALE-Sim's COMPUTE_REPORT.csv must have {what}")
    places = {field: header.index(column) for field, column in COLUMNS.items()}
    rest = iter(lines)
    found = {}
    for layer in given:
        own = [next(rest) for _ in range(layer.copies)]
        found[layer.name] = LayerCycles(
            **{field: sum(int(line[place]) for line in own) for field, place in places.items()}
        )
    return found
