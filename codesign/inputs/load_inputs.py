"""`load_inputs`: what a command runs a model on, out of a file or random."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Graph

from .model_inputs import graph_codes, input_types, random_codes, read_inputs, takes_codes
from .random_inputs import random_model_inputs

MOST_RANDOM_BYTES = 1 << 28
"""Random codes that a run may draw; a file of inputs has its own limit."""


def load_inputs(
    graph: Graph, path: str | PathLike[str] | None, samples: int | None = None, seed: int = 0
) -> dict[str, NDArray[Any]]:
    """{input of the model: array}, the first `samples` of an .npz file (None: all), or random ones.

    int8 codes in the file's layout, unless a host part reads the model's inputs: then as that takes them. Raises what
    `read_inputs` raises, and ``ValueError`` naming the file for NaN and for codes that are not legal.
    """
    if path is not None:
        arrays = read_inputs(input_types(graph), path, samples)
        codes = graph_codes(graph, arrays, path)
        return dict(codes) if takes_codes(graph) else arrays
    size = sum(int(np.prod(tensor.shape)) for tensor in graph.inputs)
    most = max(1, MOST_RANDOM_BYTES // size)
    if samples is None or not 1 <= samples <= most:
        raise ValueError(f"samples must be from 1 to {most} without a file of inputs, not {samples}")
    return dict(random_codes(graph, samples, seed)) if takes_codes(graph) else random_model_inputs(graph, samples, seed)
