"""`profile`: a run taken apart into its layers; their cycles and bytes add up to the run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.emit.fuse import fuse
from emulator.config import AcceleratorConfig
from emulator.graph import Graph, Node, file_shape
from emulator.graph.macs import node_macs
from emulator.instructions import INSTRUCTION_BYTES, UNIT_OF, Error, Unit
from emulator.machine.result import RunRecord
from emulator.program import Program

from .bound import Bound, find_bound
from .instruction_work import Work, instruction_work


@dataclass(frozen=True)
class LayerProfile:
    """A layer of one sample's run, with those that are fused into it.

    name : of the layer whose codes are stored, as in `Program.layers`
    nodes : names of all that run in its instructions, in order; the last one is `name`
    operator : theirs, joined by " + "
    shape : of the result, in the model file's layout, without the batch axis
    instructions : number of its instructions
    start, end : cycles of the run; a layer's interval begins where the one before it ends (the first one's in cycle 0)
        and reaches to the end of its last instruction, or to where the array begins with a later layer if that is
        sooner (the last one's to the end of the run). So all intervals together are the run, its beginning and its
        end included, and all that the array does for a layer lies in the layer's own interval; what other units do
        for it may lie in another one's
    macs : multiplications of the shapes
    utilization : macs / (cycles · rows · columns), at most 1; 0 where the array has no part in the layer
    bytes_read, bytes_written : whole words that its LOADs and STOREs move on the bus
    bytes_fetched : its instructions, HALT with those of the layer that ends last. The sums over all layers of
        bytes_read + bytes_fetched and of bytes_written are the run's counters ``bytes_read`` and ``bytes_written``
    busy : unit (``load``, ``convolve``, ``post_process``, ``store``) → cycles of work of the layer's instructions; the
        sums over all layers are the run's counters ``…_busy``
    shares : ``array``, ``post_processing``, ``reads``, ``writes`` → share of the interval, 0 to 1, for which it was
        busy with whatever layer's instructions; the work of an instruction counts evenly over the time from its
        start, or from the end of the one before it in its unit, to its end
    bound : what bounds the interval, by these shares
    """

    name: str
    nodes: tuple[str, ...]
    operator: str
    shape: tuple[int, ...]
    instructions: int
    start: int
    end: int
    macs: int
    utilization: float
    bytes_read: int
    bytes_written: int
    bytes_fetched: int
    busy: Mapping[str, int]
    shares: Mapping[str, float]
    bound: Bound

    @property
    def cycles(self) -> int:
        """Length of the interval."""
        return self.end - self.start

    @property
    def bytes_moved(self) -> int:
        """All bytes on the bus, both directions, instructions included."""
        return self.bytes_read + self.bytes_written + self.bytes_fetched

    @property
    def intensity(self) -> float:
        """Multiplications per byte on the bus, the abscissa of a roofline."""
        return self.macs / self.bytes_moved

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `bound` is its kind, `reason` its words."""
        return asdict(self) | {
            "nodes": list(self.nodes),
            "shape": list(self.shape),
            "cycles": self.cycles,
            "bytes_moved": self.bytes_moved,
            "intensity": self.intensity,
            "bound": self.bound.kind,
            "reason": self.bound.reason,
        }


def profile(program: Program, config: AcceleratorConfig, record: RunRecord, graph: Graph) -> list[LayerProfile]:
    """The layers that have instructions, in the order in which they end.

    program, config, graph : `compile_graph(graph, config)` made the program
    record : of one sample in the machine, with its timeline

    A layer whose codes are only seen in another shape or place has no instructions and no row; a program of nothing
    but HALT has no rows.

    Raises ``ValueError`` for a record without a timeline or of a run that was stopped, and for a program that does not
    name its instructions' layers.
    """
    timeline = _checked(program, config, record)
    members: dict[str, list[int]] = {}
    for index, name in enumerate(program.layers):
        if name:
            members.setdefault(name, []).append(index)
    work = [instruction_work(item, config) for item in program.instructions]
    ends = {name: int(timeline[indices, 2].max()) for name, indices in members.items()}
    order = sorted(members, key=lambda name: (ends[name], members[name][-1]))
    edges = [0, *_interval_ends(order, ends, _on_the_array(program, timeline)), record.cycles]
    done = _work_until(program, timeline, work, np.array(edges))
    layers_of = {step.layers[-1].name: step.layers for step in fuse(graph)}
    rows = []
    for place, name in enumerate(order):
        mine = [(UNIT_OF[program.instructions[index].opcode], work[index]) for index in members[name]]
        fetched = len(mine) + (program.layers.count("") if name == order[-1] else 0)
        passed = {resource: float(until[place + 1] - until[place]) for resource, until in done.items()}
        rows.append(_row(layers_of[name], config, mine, fetched, (edges[place], edges[place + 1]), passed))
    return rows


def _checked(program: Program, config: AcceleratorConfig, record: RunRecord) -> NDArray[np.int64]:
    """The record's timeline."""
    program.check_config(config)
    if not program.layers:
        raise ValueError("program must name the layer of each instruction, as compile_graph's does")
    if record.error != Error.NONE:
        raise ValueError(f"record must be of a run that came to its end, not to the error {record.error.name}")
    if record.timeline is None:
        raise ValueError("record must have a timeline, as Machine.execute(…, timeline=True) gives it")
    return record.timeline


def _on_the_array(program: Program, timeline: NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    """(start, end) of the array's work for each layer that it works for, one after the other."""
    found: dict[str, tuple[int, int]] = {}
    indices = np.flatnonzero(timeline[:, 0] == Unit.CONVOLVE).tolist()
    for index, (start, end) in zip(indices, _in_turn(timeline[indices, 1:]).tolist(), strict=True):
        name = program.layers[index]
        found[name] = (found.get(name, (start,))[0], end)
    return found


def _interval_ends(order: Sequence[str], ends: Mapping[str, int], array: Mapping[str, tuple[int, int]]) -> list[int]:
    """Where the intervals of all layers but the last one end: with the layer, before the array begins with a later
    one. The array takes layers in this order, too, so that this is not before it is done with the layer."""
    found: list[int] = []
    later = max(ends.values(), default=0)
    for name, following in zip(reversed(order[:-1]), reversed(order[1:]), strict=True):
        later = min(later, array[following][0]) if following in array else later
        found.append(min(ends[name], later))
    return found[::-1]


def _in_turn(intervals: NDArray[np.int64]) -> NDArray[np.int64]:
    """(start, end) of one unit's instructions; one that is taken while another is at work begins when that is done."""
    turns = intervals.copy()
    turns[1:, 0] = np.maximum(turns[1:, 0], turns[:-1, 1])
    return turns


def _work_until(
    program: Program, timeline: NDArray[np.int64], work: Sequence[Work], edges: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """For each resource, its cycles of work from the start of the run to each of `edges`."""
    found = {}
    for name, unit, counts in (
        ("array", Unit.CONVOLVE, [each.busy for each in work]),
        ("post_processing", Unit.POST_PROCESS, [each.busy for each in work]),
        ("reads", Unit.LOAD, [each.beats for each in work]),
        ("writes", Unit.STORE, [each.beats for each in work]),
    ):
        mine = timeline[:, 0] == unit
        start, end = _in_turn(timeline[mine, 1:]).T
        found[name] = np.clip((edges[:, None] - start) / (end - start), 0, 1) @ np.array(counts)[mine]
    return found


def _row(
    nodes: Sequence[Node],
    config: AcceleratorConfig,
    instructions: Sequence[tuple[Unit, Work]],
    fetched: int,
    interval: tuple[int, int],
    passed: Mapping[str, float],
) -> LayerProfile:
    """`fetched`: instructions fetched for the layer; `passed`: the resources' cycles of work in its interval."""
    busy, beats = dict.fromkeys(Unit, 0), dict.fromkeys(Unit, 0)
    for unit, each in instructions:
        busy[unit] += each.busy
        beats[unit] += each.beats
    cycles, bytes_fetched = interval[1] - interval[0], fetched * INSTRUCTION_BYTES
    on_bus = {**passed, "reads": passed["reads"] + bytes_fetched / config.bus_bytes}
    shares = {name: min(value / max(cycles, 1), 1.0) for name, value in on_bus.items()}
    macs, elements = sum(node_macs(node) for node in nodes), config.rows * config.columns
    return LayerProfile(
        name=nodes[-1].name,
        nodes=tuple(node.name for node in nodes),
        operator=" + ".join(type(node).__name__ for node in nodes),
        shape=file_shape(nodes[-1]),
        instructions=len(instructions),
        start=interval[0],
        end=interval[1],
        macs=macs,
        utilization=macs / (cycles * elements) if busy[Unit.CONVOLVE] else 0.0,
        bytes_read=beats[Unit.LOAD] * config.bus_bytes,
        bytes_written=beats[Unit.STORE] * config.bus_bytes,
        bytes_fetched=bytes_fetched,
        busy={unit.name.lower(): count for unit, count in busy.items()},
        shares=shares,
        bound=find_bound(shares, macs / (busy[Unit.CONVOLVE] * elements) if busy[Unit.CONVOLVE] else None),
    )
