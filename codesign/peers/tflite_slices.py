"""Cuts of a .tflite file: other outputs, one operator alone. The bytes are patched; nothing is written anew."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import tflite

_INPUTS, _OUTPUTS, _OPERATORS = 6, 8, 10  # places of a SubGraph's fields in its table's directory


def with_outputs(data: bytes, tensors: Sequence[int]) -> bytes:
    """The same model whose outputs are these tensors, by index; a peer then shows what lies between."""
    graph = tflite.Model.GetRootAs(data).Subgraphs(0)
    changed = bytearray(data)
    _replace_vector(changed, graph, _OUTPUTS, tensors)
    return bytes(changed)


def one_operator(data: bytes, index: int) -> bytes:
    """The operator alone: its inputs are those of its tensors that are no constants, its outputs all it makes."""
    model = tflite.Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    operator = graph.Operators(index)
    reads = [int(i) for i in np.atleast_1d(operator.InputsAsNumpy()) if i >= 0 and not _is_constant(model, graph, i)]
    changed = bytearray(data)
    vector = graph._tab.Vector(graph._tab.Offset(_OPERATORS))
    place = vector + 4 * index
    target = place + struct.unpack_from("<I", data, place)[0]
    struct.pack_into("<I", changed, vector - 4, 1)
    struct.pack_into("<I", changed, vector, target - vector)
    _replace_vector(changed, graph, _INPUTS, list(dict.fromkeys(reads)))
    _replace_vector(changed, graph, _OUTPUTS, [int(i) for i in operator.OutputsAsNumpy()])
    return bytes(changed)


def _is_constant(model: Any, graph: Any, tensor: int) -> bool:
    buffer = graph.Tensors(int(tensor)).Buffer()
    return bool(buffer) and model.Buffers(buffer).DataLength() > 0


def _replace_vector(data: bytearray, graph: Any, field: int, values: Sequence[int]) -> None:
    """Point a field of the subgraph to a new vector behind the file; offsets of a flatbuffer lead forward."""
    place = graph._tab.Pos + graph._tab.Offset(field)
    data.extend(bytes(-len(data) % 16))
    struct.pack_into("<I", data, place, len(data) - place)
    data.extend(struct.pack(f"<I{len(values)}i", len(values), *values))
