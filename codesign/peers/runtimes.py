"""Other people's runtimes of model files: which format each reads, and which package it is in."""

from __future__ import annotations

from importlib.util import find_spec
from os import PathLike
from pathlib import Path

from compiler.load_model import TFLITE_IDENTIFIER

RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "litert": ("ai_edge_litert", "litert"),
    "tflm": ("tflite_micro", "tflm"),
}
"""Runtime → (package that it is in, extra of `lockstep` that installs it)."""
NAMES = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT", "tflm": "TFLM"}


def check_runtime(runtime: str, path: str | PathLike[str]) -> None:
    """Raise ``ValueError`` unless `runtime` is one, reads this format, and is installed."""
    if runtime not in RUNTIMES:
        raise ValueError(f"the runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    tflite = is_tflite(path)
    if tflite != (runtime != "onnxruntime"):
        ours, theirs = ("a TFLite", "litert or tflm") if tflite else ("an ONNX", "onnxruntime")
        raise ValueError(f"{path}: is {ours} file, which is compared with {theirs}, not with {runtime}")
    package, extra = RUNTIMES[runtime]
    if find_spec(package) is None:
        raise ValueError(f"{runtime} needs the package {package!r}, which `pip install 'lockstep[{extra}]'` installs")


def is_tflite(path: str | PathLike[str]) -> bool:
    """Whether the file is a TFLite model by its identifier; False also for one that cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(8)[4:] == TFLITE_IDENTIFIER
    except OSError:
        return False  # which reading the model says better
