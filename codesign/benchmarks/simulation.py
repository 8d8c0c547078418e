"""How fast the RTL is simulated: one whole ResNet-50 image, and cycles per second over those of its array alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from emulator.machine import Machine

from ..execution.comparison import counter_mismatches, memory_mismatches
from ..networks import resnet50
from ..utilization import random_inputs
from .rows import row
from .utilization import CONFIG, LATENCY

MOST_SECONDS = 240
LEAST_RATIO = 0.5
ARRAY_CYCLES = 1_000_000
"""Simulated cycles of the array alone, some seconds."""


def rows() -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes some minutes on two cores.

    Both simulators are built before anything is timed: the accelerator's, with loops in the place of equal instances,
    and that of the array alone, element by element. The array is timed before and after the image, so that a machine
    that slows down for a while slows both sides of the ratio.
    """
    from compiler import compile_graph
    from rtl import simulate
    from rtl.speed import array_speed, build_array

    graph = resnet50(CONFIG.arithmetic)
    program, inputs = compile_graph(graph, CONFIG), random_inputs(graph)
    predicted = Machine(CONFIG, LATENCY).run(program, inputs)
    size = f"{CONFIG.rows}×{CONFIG.columns}"
    build_array(CONFIG)
    alone = [array_speed(CONFIG, ARRAY_CYCLES)]
    reports: list[tuple[float, int]] = []  # the first one when the simulator has been built
    simulated = simulate(
        program, CONFIG, inputs, latency=LATENCY, on_progress=lambda n: reports.append((time.perf_counter(), n))
    )
    seconds = time.perf_counter() - reports[0][0]
    alone.append(array_speed(CONFIG, ARRAY_CYCLES))
    speed = cycles_per_second(reports[1:]) or simulated.cycles / seconds
    array = statistics.median(n / spent for n, spent in alone)
    cycles = abs(simulated.cycles - predicted.cycles)
    counters = counter_mismatches(simulated.counters, predicted.counters) + sum(
        simulated.telemetry[name] != count for name, count in predicted.telemetry.items()
    )
    return [
        row("ResNet-50, one image in Verilator: time", seconds, "s", f"≤ {MOST_SECONDS}", seconds <= MOST_SECONDS),
        row("ResNet-50: cycles", simulated.cycles, "cycles"),
        *(
            row(f"ResNet-50: {what} that differ from the machine's", count, what, "= 0", count == 0)
            for what, count in (
                ("cycles", cycles),
                ("bytes of memory", memory_mismatches(predicted, simulated)),
                ("counters", counters),
            )
        ),
        row(f"the {size} accelerator: simulated cycles per second", speed, "1/s"),
        row("its array alone, fed by LFSRs, element by element: simulated cycles per second", array, "1/s"),
        row("ratio of the two", speed / array, "×", f"≥ {LEAST_RATIO}", speed / array >= LEAST_RATIO),
    ]


def cycles_per_second(reports: Sequence[tuple[float, int]]) -> float | None:
    """Cycles per second between the first and the last of (seconds, cycles); None if they tell nothing."""
    if len(reports) < 2 or reports[-1][0] <= reports[0][0]:
        return None
    return (reports[-1][1] - reports[0][1]) / (reports[-1][0] - reports[0][0])
