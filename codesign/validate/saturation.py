"""ONNX Runtime's u8s8 kernels on processors without VNNI: sums of two products in 16 bits, which saturate.

Such a kernel multiplies unsigned 8-bit activations by signed 8-bit weights, and adds two neighbouring products in a
saturating 16-bit register (``vpmaddubsw``) before the exact 32-bit sum. Which products are neighbours depends on the
kernel; so the question that is answered is whether an element has any two that would not fit.
"""

from __future__ import annotations

import platform
from pathlib import Path

from numpy.typing import NDArray

from emulator.graph import Convolution, Graph, Linear

from ..diverge.element import ElementTracer
from ..diverge.trace import ElementTrace, Index

LOW, HIGH = -(1 << 15), (1 << 15) - 1
MOST_ELEMENTS = 256
"""Differing elements of a layer that are looked at."""
FLAGS = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")


def saturates_pairs(cpu: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an x86 processor whose integer kernels add pairs of products in 16 bits; False if unknown."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        lines = cpu.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return bool(flags) and not set(flags) & set(FLAGS)


def may_saturate(graph: Graph, layer: str, codes: dict[str, NDArray], places: list[tuple[int, Index]]) -> bool:
    """Whether each of these elements of a layer has two products whose sum 16 bits do not hold.

    codes : {layer: its codes, batch axis first, stored layout}; places : (sample, stored index)
    """
    node = graph.tensor(layer)
    if not isinstance(node, Convolution | Linear):
        return False
    for sample, index in places[:MOST_ELEMENTS]:
        tracer = ElementTracer(graph, {name: array[sample] for name, array in codes.items()})
        if not _beyond(tracer.trace(layer, index)):
            return False
    return bool(places)


def _beyond(trace: ElementTrace) -> bool:
    products = sorted((term.x + 128) * term.w for term in trace.sums)
    return len(products) > 1 and (sum(products[-2:]) > HIGH or sum(products[:2]) < LOW)
