"""`load_model`: a quantized model file of any known format as an integer `Graph`."""

from __future__ import annotations

from os import PathLike

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from .onnx.load_onnx import load_onnx


def load_model(path: str | PathLike[str], arithmetic: Arithmetic | None = None, override: bool = False) -> Graph:
    """Read a quantized model file; its content says which format it has.

    path : an ONNX file; arithmetic, override : as for `load_onnx`

    Raises `ModelError`, one sentence with file, operator and reason.
    """
    return load_onnx(path, arithmetic, override)
