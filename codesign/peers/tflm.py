"""TensorFlow Lite for Microcontrollers, by the package `tflite-micro`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tflite_names import FileNames, batches, read_names

_ARENA = 1 << 20


def run_tflm(
    file: str | Path | bytes, inputs: Mapping[str, NDArray[Any]], every: bool = False
) -> dict[str, NDArray[Any]]:
    """{tensor name: array} of the file's outputs, or with `every` of every tensor that an operator makes.

    file : path or content of a .tflite file
    inputs : {name: array}, codes of the input's type in the file's layout; any batch, run one after the other

    Raises ``ValueError`` naming the input, ``RuntimeError`` in TFLM's words.
    """
    from tflite_micro.python.tflite_micro import runtime  # type: ignore[import-untyped]

    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    names = read_names(data)
    interpreter = runtime.Interpreter.from_bytes(
        data,
        arena_size=_ARENA + 16 * len(data) + names.activation_bytes * 2,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    results: dict[str, list[NDArray[Any]]] = {}
    for arrays in batches(names, inputs):
        for index, array in enumerate(arrays):
            interpreter.set_input(array, index)
        interpreter.invoke()
        for name, value in _results(interpreter, names, every):
            results.setdefault(name, []).append(value)
    return {name: names.joined(arrays) for name, arrays in results.items()}


def _results(interpreter: Any, names: FileNames, every: bool) -> list[tuple[str, NDArray[Any]]]:
    if every:
        return [
            (names.tensors[index], np.array(interpreter.GetTensor(index, 0)["tensor_data"])) for index in names.made
        ]
    return [(names.tensors[tensor], np.array(interpreter.get_output(i))) for i, tensor in enumerate(names.outputs)]
