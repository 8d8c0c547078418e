"""LiteRT, TensorFlow Lite's interpreter, by the package `ai-edge-litert`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tflite_names import batches, read_names
from .tflite_slices import with_outputs

RESOLVERS = {"default": "AUTO", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
"""XNNPACK's kernels where it has them; the optimized ones without it; the reference ones."""


def run_litert(
    file: str | Path | bytes,
    inputs: Mapping[str, NDArray[Any]],
    every: bool = False,
    resolver: str = "default",
) -> dict[str, NDArray[Any]]:
    """{tensor name: array} of the file's outputs, or with `every` of every tensor that an operator makes.

    file : path or content of a .tflite file
    inputs : {name: array} as for `run_tflm`; resolver : one of `RESOLVERS`

    Raises ``ValueError`` naming the input, ``RuntimeError`` in LiteRT's words.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if resolver not in RESOLVERS:
        raise ValueError(f"resolver must be one of {', '.join(RESOLVERS)}, not {resolver!r}")
    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    names = read_names(data)
    shown = names.made if every else names.outputs
    interpreter = Interpreter(
        model_content=with_outputs(data, shown) if every else data,
        experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[resolver]),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    results: dict[str, list[NDArray[Any]]] = {}
    for arrays in batches(names, inputs):
        for index, array in zip(names.inputs, arrays, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        for index in shown:
            results.setdefault(names.tensors[index], []).append(np.array(interpreter.get_tensor(index)))
    return {name: names.joined(arrays) for name, arrays in results.items()}
