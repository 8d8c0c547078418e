"""The task ``run``: one sample on the machine, to the cycle."""

from __future__ import annotations

from typing import Any

from compiler import compile_graph
from emulator.arithmetic import Arithmetic
from emulator.config import config_from_dict
from emulator.graph import Convolution, Graph, Linear
from emulator.instructions import Unit
from emulator.machine import Machine
from emulator.machine.result import Error

from ...energy.accesses import access_counts, layer_accesses
from ...execution.profile import profile
from ...execution.timeline import Span, spans
from ..engine.task import Outcome, Task
from .graphs import builtin_graph, model_graph

GRAIN = 1000
"""Parts of a run below which the timeline shows no gaps."""


def run(task: Task) -> Outcome:
    """Cycles, counters, sizes, layers and timeline of the task's network on its accelerator."""
    config = config_from_dict(task.arguments["config"])
    graph = task_graph(task)
    program = compile_graph(graph, config)
    machine = Machine(config, task.arguments["latency"])
    (record,) = machine.execute([program.image], program.program_address, program.program_bytes, timeline=True)
    if record.error != Error.NONE:
        raise ValueError(f"the accelerator stopped with error {record.error.name} at instruction {record.error_index}")
    rows = profile(program, config, record, graph)
    served = [name or rows[-1].name for name in program.layers] if rows else program.layers  # HALT is the last one's
    values: dict[str, Any] = {
        "cycles": record.cycles,
        "macs": program.macs,
        "telemetry": record.counters,
        "memory_bytes": program.memory_bytes,
        "program_bytes": program.program_bytes,
        "weight_bytes": _weight_bytes(graph),
        "layers": [row.as_dict() for row in rows],
        "accesses": layer_accesses(access_counts(program, config), served),
        "timeline": _timeline(spans(program.instructions, record.timeline, program.layers), record.cycles),
    }
    return Outcome(values)


def task_graph(task: Task) -> Graph:
    """The graph that a ``run`` task is about."""
    arithmetic = Arithmetic(**task.arguments["config"]["arithmetic"])
    if "model" in task.files:
        return model_graph(task.files["model"], arithmetic)
    return builtin_graph(task.arguments["network"]["builtin"], arithmetic)


def _weight_bytes(graph: Graph) -> int:
    """Of all weights' codes, each layer's packed to whole bytes."""
    bits = graph.arithmetic.weight_bits
    return sum(-(-node.weight.size * bits // 8) for node in graph.nodes if isinstance(node, Convolution | Linear))


def _timeline(executed: list[Span], cycles: int) -> list[list[Any]]:
    """[unit, layer, start, end], where a unit's work for a layer goes on after less than a part of the run as one."""
    made: list[list[Any]] = []
    last: dict[tuple[Unit, str], list[Any]] = {}
    for span in sorted(executed, key=lambda span: span.start):
        current = last.get((span.unit, span.layer))
        if current is not None and span.start - current[3] <= cycles // GRAIN:
            current[3] = max(current[3], span.end)
        else:
            current = last[span.unit, span.layer] = [span.unit.name.lower(), span.layer, span.start, span.end]
            made.append(current)
    return made
