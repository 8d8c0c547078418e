"""How fast the RTL is simulated: one whole ResNet-50 image, and cycles per second over those of its array alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from emulator.machine import Machine

from ..execution.comparison import counter_mismatches, memory_mismatches
from ..networks import resnet50
from ..utilization import random_inputs
from .rows import row
from .utilization import CONFIG, LATENCY

MOST_SECONDS = 240
LEAST_RATIO = 0.5
LEAST_GAIN = 1.25
ARRAY_CYCLES = 1_000_000
"""Simulated cycles of the array alone, some seconds."""
SOON_CYCLES = 2_000_000
"""Of the image, in the simulator that is built soon."""


def rows() -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes some minutes on two cores.

    All simulators are built before anything is timed: the accelerator's for many cycles, the same built soon, and the
    array alone, built soon too. These two are timed before and after the image, so that a machine that slows down for a
    while slows both sides of each ratio.
    """
    from compiler import compile_graph
    from rtl import simulate
    from rtl.accelerator import accelerator_verilog
    from rtl.simulation import Plan, build_testbench, run_plans
    from rtl.speed import array_speed, build_array

    graph = resnet50(CONFIG.arithmetic)
    program, inputs = compile_graph(graph, CONFIG), random_inputs(graph)
    predicted = Machine(CONFIG, LATENCY).run(program, inputs)
    plan = Plan(program.images(inputs)[0], program.program_address, program.program_bytes, LATENCY)
    size = f"{CONFIG.rows}×{CONFIG.columns}"
    verilog = [("accelerator.v", accelerator_verilog(CONFIG))]
    built = partial(
        build_testbench, verilog, CONFIG.bus_bytes, CONFIG.columns, memory_bytes=len(plan.image), title=size
    )
    built(cycles=predicted.cycles, example=plan)
    soon = built()
    build_array(CONFIG)

    def soon_speed() -> float:
        told: list[tuple[float, int]] = []
        run_plans(soon, [plan], max_cycles=SOON_CYCLES, on_progress=lambda n: told.append((time.perf_counter(), n)))
        return cycles_per_second(told) or 0.0

    alone, soon_speeds = [array_speed(CONFIG, ARRAY_CYCLES)], [soon_speed()]
    reports: list[tuple[float, int]] = []  # the first one before the simulator starts
    start = time.perf_counter()
    simulated = simulate(
        program,
        CONFIG,
        inputs,
        latency=LATENCY,
        on_progress=lambda n: reports.append((time.perf_counter(), n)),
        cycles=predicted.cycles,
    )
    seconds = time.perf_counter() - start
    soon_speeds.append(soon_speed())
    alone.append(array_speed(CONFIG, ARRAY_CYCLES))
    speed = cycles_per_second(reports[1:]) or simulated.cycles / seconds
    array = statistics.median(n / spent for n, spent in alone)
    cycles = abs(simulated.cycles - predicted.cycles)
    quick = statistics.median(soon_speeds)
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
        row(f"the {size} accelerator, compiled with a profile: simulated cycles per second", speed, "1/s"),
        row("the same, compiled soon (-O1): simulated cycles per second", quick, "1/s"),
        row("ratio of the two", speed / quick, "×", f"≥ {LEAST_GAIN}", speed / quick >= LEAST_GAIN),
        row("its array alone, fed by LFSRs, compiled soon: simulated cycles per second", array, "1/s"),
        row("ratio, both compiled soon", quick / array, "×", f"≥ {LEAST_RATIO}", quick / array >= LEAST_RATIO),
    ]


def cycles_per_second(reports: Sequence[tuple[float, int]]) -> float | None:
    """Cycles per second between the first and the last of (seconds, cycles); None if they tell nothing."""
    if len(reports) < 2 or reports[-1][0] <= reports[0][0]:
        return None
    return (reports[-1][1] - reports[0][1]) / (reports[-1][0] - reports[0][0])
