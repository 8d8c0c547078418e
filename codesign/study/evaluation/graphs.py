"""The integer graphs that tasks are about, kept for the next task of the same process."""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

from compiler import load_model
from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from ...networks import NETWORKS

KEPT = 4
"""Graphs that a process keeps: large networks' weights take tens of megabytes."""
_kept: OrderedDict[Hashable, Graph] = OrderedDict()


def builtin_graph(name: str, arithmetic: Arithmetic) -> Graph:
    """The built-in network of that name, with seeded weights.

    Its scales are calibrated: where all are guesses, all residual adds are alike, and the compiler saves instructions.
    """
    return _keep((name, arithmetic), lambda: NETWORKS[name](arithmetic))


def model_graph(model: bytes, arithmetic: Arithmetic) -> Graph:
    """The graph of an ONNX or TFLite file's bytes, run in `arithmetic` whatever it was made for."""
    return _keep((hashlib.sha256(model).digest(), arithmetic), lambda: _read(model, arithmetic))


def _keep(key: Hashable, make: Callable[[], Graph]) -> Graph:
    if key not in _kept:
        _kept[key] = make()
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def _read(model: bytes, arithmetic: Arithmetic) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        path.write_bytes(model)
        try:
            return load_model(path, arithmetic, override=True)
        except ValueError as error:
            raise ValueError(f"the network's file: {str(error).removeprefix(f'{path}: ')}") from None
