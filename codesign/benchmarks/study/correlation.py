"""Cycles by SCALE-Sim and Vela against the exact machine's on the same shapes, and the machine's against the RTL's."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler import compile_graph, load_model
from emulator.arithmetic import Arithmetic
from emulator.config import DATAFLOWS
from emulator.graph import Graph

from ...networks import NETWORKS
from ...peers.estimators import INSTALL, installed
from ...peers.scalesim import DATAFLOWS as SCALESIM_DATAFLOWS
from ...peers.scalesim import layers, run_scalesim
from ...peers.vela import ACCELERATOR, run_vela
from ...utilization import random_inputs
from ..rows import row
from ..utilization import CONFIG, LATENCY
from .plot import correlation_plot
from .points import (
    MachineCycles,
    Point,
    machine_cycles,
    machine_seconds,
    points,
    product_layers,
    run_alone,
    signed_error,
)

COMPARED = ("ResNet-8", "DS-CNN")
TIMED = ("ResNet-8", DATAFLOWS[0])
"""Network and dataflow of which the ratio of processor times has a target, and which the RTL runs."""
LEAST_RATIO = 100
SCALESIM = {"with_prefetch": "SCALE-Sim, incl. prefetch", "total": "SCALE-Sim, total"}
"""Which of its two columns → name of the tool: memory to memory, as the machine counts, or from full memories."""
VELA, RTL = "Vela", "RTL"
ABSENT = f"not run: {INSTALL}"


def rows(plot: Path | None, tflite: Path | None) -> list[dict[str, Any]]:
    """Rows of errors, times and the residual of the RTL; each part says "not run" without its package.

    plot : a file for `correlation_plot`
    tflite : a folder of MLPerf Tiny's files, for Vela
    """
    found: list[Point] = []
    table: list[dict[str, Any]] = []
    for network in COMPARED:
        graph = NETWORKS[network](CONFIG.arithmetic)
        for dataflow in DATAFLOWS:
            machine = machine_cycles(graph, replace(CONFIG, dataflow=dataflow), LATENCY)
            made, more = _scalesim(network, dataflow, graph, machine)
            found += made
            table += more
            if dataflow == TIMED[1]:
                made, more = _vela(network, graph, machine)
                found += made
                table += more
            if (network, dataflow) == TIMED:
                made, more = _rtl(network, graph, machine)
                found += made
                table += more
    table += _files(tflite)
    if plot is not None:
        correlation_plot(found, plot)
    return table


def _scalesim(
    network: str, dataflow: str, graph: Graph, machine: MachineCycles
) -> tuple[list[Point], list[dict[str, Any]]]:
    where = f"{network}, {CONFIG.rows}×{CONFIG.columns} {SCALESIM_DATAFLOWS[dataflow]}"
    time = f"{where}: processor time, SCALE-Sim over machine"
    target = f"≥ {LEAST_RATIO}" if (network, dataflow) == TIMED else None
    titles = ((f"{where}: SCALE-Sim's error", "%", None), (time, "×", target))
    if not installed("SCALE-Sim"):
        return [], [row(name, ABSENT, unit, goal) for name, unit, goal in titles]
    config = replace(CONFIG, dataflow=dataflow)
    # Timed before and after: a machine that slows down for a while slows both sides of the ratio.
    spent = machine_seconds(graph, config, LATENCY)
    try:
        simulated = run_scalesim(layers(graph), config)
    except ValueError as error:
        return [], [row(name, f"not run: {error}", unit, goal) for name, unit, goal in titles]
    seconds = statistics.median(spent + machine_seconds(graph, config, LATENCY))
    found, table = [], []
    for field, tool in SCALESIM.items():
        cycles = {name: getattr(counted, field) for name, counted in simulated.layers.items()}
        made = points(tool, network, dataflow, cycles, machine)
        found += made
        table += _errors(f"{where}: {tool}", made)
    ratio = simulated.seconds / seconds
    if target is not None:
        table.append(row(f"{where}: processor time, SCALE-Sim", simulated.seconds, "s"))
        table.append(row(f"{where}: processor time, machine with compiler", 1000 * seconds, "ms"))
    return found, [*table, row(time, ratio, "×", target, None if target is None else ratio >= LEAST_RATIO)]


def _vela(network: str, graph: Graph, machine: MachineCycles) -> tuple[list[Point], list[dict[str, Any]]]:
    where = f"{network}: Vela, an estimate of other hardware ({ACCELERATOR})"
    if not installed("Vela"):
        return [], [row(f"{where}: error", ABSENT, "%")]
    from ...peers.tflite_file import network_tflite  # needs the package tflite

    try:
        estimated = run_vela(network_tflite(graph), LATENCY)
    except ValueError as error:
        return [], [row(f"{where}: error", f"not run: {error}", "%")]
    found = points(VELA, network, TIMED[1], estimated.layers, machine)
    return found, [
        *_errors(where, found),
        row(f"{where}: error, whole network", signed_error(estimated.total, machine.whole), "%"),
        row(f"{network}: processor time, Vela", 1000 * estimated.seconds, "ms"),
    ]


def _rtl(network: str, graph: Graph, machine: MachineCycles) -> tuple[list[Point], list[dict[str, Any]]]:
    """The same layers, and the whole network, in Verilator."""
    from rtl import simulate

    def cycles(graph: Graph) -> int:
        program = compile_graph(graph, CONFIG)
        return simulate(program, CONFIG, random_inputs(graph), latency=LATENCY).cycles

    counted = {name: cycles(alone) for name, alone in product_layers(graph).items()}
    found = points(RTL, network, TIMED[1], counted, machine)
    residual = sum(abs(point.cycles - point.machine) for point in found) + abs(cycles(graph) - machine.whole)
    name = f"{network}, {len(found)} layers alone and whole: cycles, RTL in Verilator less machine"
    return found, [row(name, residual, "cycles", "= 0", residual == 0)]


def _files(folder: Path | None) -> list[dict[str, Any]]:
    """Vela on MLPerf Tiny's own files, against the machine with their arithmetic."""
    title = "MLPerf Tiny's files: Vela's error"
    if folder is None:
        return [row(title, "not run: --cases names a folder of them", "%")]
    files = sorted(folder.glob("mlperf_tiny_*.tflite"))
    if not files or not installed("Vela"):
        return [row(title, ABSENT if files else f"not run: {folder} has none", "%")]
    config = replace(CONFIG, arithmetic=Arithmetic.tflm())
    table = []
    for file in files:
        graph = load_model(file, config.arithmetic)
        machine = run_alone(graph, config, LATENCY)
        name = f"{file.name}: Vela, with what the host computes here: error"
        try:
            table.append(row(name, signed_error(run_vela(file.read_bytes(), LATENCY).total, machine), "%"))
        except ValueError as error:
            table.append(row(name, f"not run: {error}", "%"))
    return table


def _errors(what: str, found: Sequence[Point]) -> list[dict[str, Any]]:
    """The error per layer and of all of them together; the JSON has each layer's cycles."""
    errors = [point.error for point in found]
    spread = " / ".join(f"{value:+.0f}" for value in (min(errors), statistics.median(errors), max(errors)))
    whole = signed_error(sum(point.cycles for point in found), sum(point.machine for point in found))
    cycles = {point.layer: {"cycles": point.cycles, "machine": point.machine} for point in found}
    return [
        row(f"{what}: error of a layer, least / median / most", spread, "%") | {"layers": cycles},
        row(f"{what}: error, all {len(found)} layers", whole, "%"),
    ]
