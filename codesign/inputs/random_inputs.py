"""Random inputs of a model as its own runtime takes them: what its host part, if it has one, reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Graph
from emulator.operators.quantize import dequantize

from .model_inputs import InputType, graph_codes, input_types, random_codes, takes_codes

RANGES = ((0.0, 1.0), (-1.0, 1.0), (-3.0, 3.0), (0.0, 255.0), (-128.0, 127.0))
"""Ranges in which people have their floats; the one that makes the most different codes is taken."""


def random_model_inputs(graph: Graph, samples: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """{input of the model: array}, batch axis first.

    Without a head, the real numbers of uniform codes. In front of a head, uniform integers of a type of codes, zeros
    and ones of wider ones (indices), and floats uniform in the range that makes the most different codes.
    """
    unsigned = graph.metadata.get("unsigned_inputs", ())
    codes = random_codes(graph, samples, seed)
    if takes_codes(graph):
        return {tensor.name: dequantize(codes[tensor.name], tensor.scale, tensor.zero_point) for tensor in graph.inputs}
    tried = []
    for low, high in RANGES:
        rng = np.random.default_rng(seed)
        arrays = {
            kind.name: codes[kind.name] if kind.shape is None else _random(kind, (samples, *kind.shape), low, high, rng)
            for kind in input_types(graph)
        }
        arrays |= {name: (codes[name] ^ np.int8(-128)).view(np.uint8) for name in unsigned if name in codes}
        tried.append(arrays)
        if not any(kind.floats for kind in input_types(graph)):
            break
    return max(tried, key=lambda arrays: sum(len(np.unique(made)) for made in graph_codes(graph, arrays).values()))


def _random(kind: InputType, shape: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> NDArray[Any]:
    if kind.floats:
        return rng.uniform(low, high, shape).astype(np.float32)
    dtype = np.dtype(kind.integers[0])
    if dtype.itemsize == 1 and dtype.kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return rng.integers(0, 2, shape).astype(dtype)
