"""What of a transformer the accelerator computes: products of attention and of a layer, and how exact rows are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph
from emulator.graph.run import run_graph

from ..execution.comparison import mismatches
from ..networks import attention_products, encoder_products
from ..utilization import Measurement, measure
from .row_accuracy import DISTRIBUTIONS, LENGTHS, norm_error, softmax_error
from .rows import row
from .utilization import CONFIG, LATENCY

TOKENS, HEADS, DEPTH, INNER = 128, 12, 64, 3072
"""BERT-base: 768 channels."""
PARTS = {"q · kᵀ": ("scores",), "scores · v": ("mixed",), "both": ("scores", "mixed")}
SMALL = (24, 2, 16)
"""Tokens, heads and depth of what is also run in Verilator where that is asked for."""
MOST_SOFTMAX, MOST_NORM = 0.51, 0.6
SEED = 1


def rows(rtl: bool = False) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes half a minute.

    rtl : also run attention of a few tokens in Verilator; every bit and every cycle must be the machine's
    """
    table = [*_attention(), *_layer(), *_decoding(), *_errors()]
    return [*table, *_in_verilator()] if rtl else table


def _attention() -> Iterable[dict[str, Any]]:
    for name, parts in PARTS.items():
        graph = attention_products(CONFIG.arithmetic, TOKENS, HEADS, DEPTH, parts=parts)
        target = 85 if name == "both" else None
        yield from _measured(f"attention, {TOKENS} tokens, {HEADS} heads of {DEPTH}: {name}", graph, target)


def _layer() -> Iterable[dict[str, Any]]:
    graph = encoder_products(CONFIG.arithmetic, TOKENS, HEADS, DEPTH, INNER)
    name = f"the eight products of a layer, {HEADS * DEPTH} → {INNER} channels, without softmax and norms"
    yield from _measured(name, graph, None)


def _decoding() -> Iterable[dict[str, Any]]:
    for name in ("q · kᵀ", "scores · v"):
        graph = attention_products(CONFIG.arithmetic, TOKENS, HEADS, DEPTH, queries=1, parts=PARTS[name])
        cycles = measure(graph, replace(CONFIG, counters=False), LATENCY).result.cycles
        tensors = (*graph.inputs, graph.tensor(graph.outputs["output"]))
        beats = sum(math.prod(tensor.shape) for tensor in tensors) / CONFIG.bus_bytes
        what = f"one token against {TOKENS}, without counters: {name}, cycles over those of its bytes on the bus"
        yield row(what, cycles / beats, "×", "≤ 1.1", cycles <= 1.1 * beats)


def _errors() -> Iterable[dict[str, Any]]:
    arithmetic = Arithmetic()
    functions: dict[str, tuple[float, Callable[[str, int], float]]] = {
        "softmax": (MOST_SOFTMAX, lambda name, length: softmax_error(name, length, arithmetic, SEED)),
        "layer norm": (MOST_NORM, lambda name, length: norm_error(name, length, arithmetic, SEED, True)),
        "RMS norm": (MOST_NORM, lambda name, length: norm_error(name, length, arithmetic, SEED, False)),
    }
    for function, (most, error) in functions.items():
        worst = max(error(name, length) for name in DISTRIBUTIONS for length in LENGTHS)
        what = f"{function}, rows of {LENGTHS[0]} to {LENGTHS[-1]}: furthest from the real function"
        yield row(what, worst, "codes", f"≤ {most}", worst <= most)


def _in_verilator() -> Iterable[dict[str, Any]]:
    from rtl import simulate

    measured = measure(attention_products(CONFIG.arithmetic, *SMALL), CONFIG, LATENCY)
    result = simulate(measured.program, CONFIG, measured.inputs, latency=LATENCY)
    cycles = abs(result.cycles - measured.result.cycles)
    yield row("attention: cycles of the RTL that the machine's differ by", cycles, "cycles", "= 0", cycles == 0)
    count = sum(a != b for a, b in zip(result.memory, measured.result.memory, strict=True))
    yield row("attention: bytes of the RTL's memory that differ", count, "bytes", "= 0", count == 0)


def _measured(name: str, graph: Graph, target: int | None) -> Iterable[dict[str, Any]]:
    measured = measure(graph, CONFIG, LATENCY)
    percent = 100 * measured.utilization
    peak = f"of {CONFIG.rows * CONFIG.columns} MACs/cycle"
    wanted = (None, None) if target is None else (f"≥ {target}", percent >= target)
    yield row(f"{name}: {peak}", percent, "%", *wanted)
    count = _differing(measured)
    yield row(f"{name}: codes of all layers that differ from the emulator's", count, "codes", "= 0", count == 0)


def _differing(measured: Measurement) -> int:
    expected = run_graph(measured.graph, measured.inputs, every=True)
    return sum(mismatches({name: expected[name] for name in measured.result.layers}, measured.result.layers).values())
