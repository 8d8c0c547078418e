"""A part of an ONNX model as a function of arrays: by ONNX Runtime, or without it by ONNX's reference evaluator."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import load_from_string
from onnx.reference import ReferenceEvaluator

Arrays: TypeAlias = dict[str, NDArray[Any]]
Function: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], Arrays]

SILENT = 4  # ONNX Runtime's log level: only what ends the process


@lru_cache(maxsize=16)
def function(model: bytes) -> Function:
    """{input: array} → {output: array} of a serialized ONNX model.

    Raises ``ValueError`` for a model that cannot be run, and so does the function for arrays that do not fit.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        return _reference(model, "onnxruntime is not installed (pip install 'lockstep[onnxruntime]')")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = SILENT
    # Every operator as the file has it: optimized, float activations beside quantized weights are rounded to 8 bits.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for every cause
        return _reference(model, f"ONNX Runtime says: {first_line(error)}")
    names = [output.name for output in session.get_outputs()]

    def run(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        try:
            results = session.run(names, dict(arrays))
        except Exception as error:
            raise ValueError(f"ONNX Runtime says: {first_line(error)}") from None
        return dict(zip(names, map(np.asarray, results), strict=True))

    return run


def _reference(model: bytes, reason: str) -> Function:
    """The same by ONNX's reference evaluator; `reason`: why ONNX Runtime does not do it."""
    try:
        evaluator = ReferenceEvaluator(load_from_string(model))
    except Exception:  # whatever its operators raise where they are made
        raise ValueError(f"the host cannot compute it: {reason}") from None

    def run(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = evaluator.run(None, dict(arrays))
        except Exception as error:
            raise ValueError(f"ONNX's reference evaluator says: {first_line(error)} ({reason})") from None
        return dict(zip(evaluator.output_names, map(np.asarray, results), strict=True))

    return run


def first_line(error: Exception) -> str:
    """The first line of a message, shortened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
