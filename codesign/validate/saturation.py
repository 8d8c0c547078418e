"""ONNX Runtime's u8s8 kernels on processors without VNNI: sums of two products in 16 bits, which saturate.

Such a kernel multiplies unsigned 8-bit activations by signed 8-bit weights, and adds two neighbouring products in a
saturating 16-bit register (``vpmaddubsw``) before the exact 32-bit sum. Which products are neighbours depends on the
kernel; so the question that is answered is whether an element has any two that would not fit, and whether the most that
any pairs of it can lose is as much as the difference.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from emulator.graph import Convolution, Graph, Linear

from ..diverge.element import ElementTracer
from ..diverge.trace import ElementTrace
from .comparison import TIE
from .distance import Place, some

LOW, HIGH = -(1 << 15), (1 << 15) - 1
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


def may_saturate(
    graph: Graph, layer: str, codes: Mapping[str, NDArray[Any]], theirs: NDArray[Any], places: Sequence[Place]
) -> bool:
    """Whether saturating pairs can make of each of these elements of a layer what a runtime has.

    codes : {layer: its codes, batch axis first, stored layout}; theirs : the runtime's of the layer, alike
    places : of the differing elements; of many, some
    """
    node = graph.tensor(layer)
    if not isinstance(node, Convolution | Linear) or node.raw:
        return False
    for sample, index in some(places):
        tracer = ElementTracer(graph, {name: array[sample] for name, array in codes.items()})
        trace, channel = tracer.trace(layer, index), index[-1]
        step = int(node.multiplier[channel]) / 2 ** int(node.shift[channel])
        difference = int(theirs[(sample, *index)]) - trace.code
        loss = lost(trace)[difference > 0] * step
        # Two roundings of numbers that differ by d are less than d + 1 apart; a clamp only brings them nearer.
        if not 0 < abs(difference) < loss + (loss > 0) and not near_tie(trace, difference):
            return False
    return bool(places)


def near_tie(trace: ElementTrace, difference: int) -> bool:
    """Whether float32 can round the element to the neighbouring code."""
    quotient = trace.quotient
    return abs(difference) == 1 and quotient is not None and abs(float(quotient % 1) - 0.5) <= TIE


def lost(trace: ElementTrace) -> tuple[float, float]:
    """The most by which saturating pairs of an element's products can make its sum smaller, and larger; (0, 0): none.

    Two products a, b lose a + b − HIGH, which is at most what each has beyond HIGH / 2.
    """
    products = sorted((term.x + 128) * term.w for term in trace.sums)
    below = sum(max(0.0, p - HIGH / 2) for p in products) if sum(products[-2:]) > HIGH else 0.0
    above = sum(max(0.0, LOW / 2 - p) for p in products) if sum(products[:2]) < LOW else 0.0
    return (below, above) if len(products) > 1 else (0.0, 0.0)
