"""The integer graph that a task is about, kept for the next task of the same process."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from compiler import load_model
from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from ...networks import NETWORKS
from ..engine.task import Task

KEPT = 4
"""Graphs that a process keeps: large networks' weights take tens of megabytes."""
_kept: OrderedDict[Hashable, Graph] = OrderedDict()


def graph_of(task: Task, arithmetic: Arithmetic) -> Graph:
    """The graph of a `run` task in `arithmetic`; ``ValueError`` for a model that cannot be read."""
    network, model = task.arguments["network"], task.files.get("model")
    name = network["builtin"] if model is None else hashlib.sha256(model).hexdigest()
    key = name, arithmetic
    if key not in _kept:
        # With calibrated scales: where all are guesses, all residual adds are alike, and the compiler saves some.
        _kept[key] = NETWORKS[name](arithmetic) if model is None else read_model(model, arithmetic)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def read_model(model: bytes, arithmetic: Arithmetic) -> Graph:
    """The graph of an ONNX or TFLite file's bytes, run in `arithmetic` whatever it was made for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        path.write_bytes(model)
        try:
            return load_model(path, arithmetic, override=True)
        except ValueError as error:
            raise ValueError(str(error).removeprefix(f"{path}: ")) from None
