"""The tasks ``accuracy`` and ``test``: a finished model on labelled data, in the point's own arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph
from emulator.graph.run import run_graph

from ...inputs.model_inputs import input_types
from ..definition.study import Data
from ..engine.task import Outcome, Task
from .graphs import model_graph
from .origins import dataset

BATCH = 256
"""Inputs that the emulator runs at once."""


def accuracy(task: Task, folder: Path) -> Outcome:
    """The share of validation data, or of test data, that the model gets right."""
    arguments = task.arguments
    graph = model_graph(task.files["model"], Arithmetic(**arguments["arithmetic"]))
    data = dataset(Data(**arguments["data"]), folder)
    split = arguments["split"]
    inputs, labels = getattr(data, f"{split}_inputs"), getattr(data, f"{split}_labels")
    if not len(labels):
        raise ValueError(f"[data] {arguments['data']['name']}: there must be {split} data")
    return Outcome({"accuracy": share_right(graph, inputs, labels)})


def share_right(graph: Graph, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Of `inputs`, batch axis first, the share whose greatest output of the model is at the label's place."""
    types = input_types(graph)
    if len(types) != 1 or len(graph.outputs) != 1:
        raise ValueError(f"a classifier must have one input and one output, not {len(types)} and {len(graph.outputs)}")
    right = 0
    for first in range(0, len(labels), BATCH):
        some = slice(first, first + BATCH)
        (output,) = run_graph(graph, {types[0].name: inputs[some]}).values()
        answers = output.reshape(len(output), -1).argmax(axis=1)
        right += int((answers == labels[some]).sum())
    return right / len(labels)
