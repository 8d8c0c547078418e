"""The tasks ``float`` and ``train``: a network's weights, and its codes in one arithmetic."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import qat
from compiler import load_onnx
from emulator.arithmetic import Arithmetic

from ...training.fit import one_thread
from ...training.point import quantized, train_float, train_point
from ...training.recipe import TrainingRecipe
from ...training.state import load_state
from ..definition.study import Data, Network
from ..engine.task import Outcome, Task
from .origins import dataset, network
from .structure import structure

MODEL = "model.onnx"
STATE = "float.npz"
SEARCHED = 512
"""Training inputs over which `search_bits` compares the quantized network with the float one."""
MOST_BYTES = 1 << 62


def float_network(task: Task, folder: Path) -> Outcome:
    """Train the float network, once for all arithmetics."""
    arguments = task.arguments
    make, _ = network(Network(**arguments["network"]), folder)
    recipe = TrainingRecipe(**arguments["recipe"])
    return Outcome({}, {STATE: train_float(make, dataset(Data(**arguments["data"]), folder), recipe)})


def train(task: Task, folder: Path) -> Outcome:
    """Make the network ready for an arithmetic; without data, calibrate it with the inputs that its factory gives."""
    arguments = task.arguments
    named, arithmetic = Network(**arguments["network"]), Arithmetic(**arguments["arithmetic"])
    make, example = network(named, folder)
    values: dict[str, Any] = {}
    if "data" not in arguments:
        if example is None:
            raise ValueError(
                f"[network] factory {named.name} must give (module, example inputs) where there is no [data]"
            )
        with one_thread(), torch.random.fork_rng(devices=()):
            torch.manual_seed(arguments["seed"])
            model = qat.prepare(make().eval(), example, arithmetic)
            qat.calibrate(model, [example])
    else:
        data, recipe = dataset(Data(**arguments["data"]), folder), TrainingRecipe(**arguments["recipe"])
        state = task.files[STATE]
        settings = None
        if arguments["budgets"]:
            inputs = torch.from_numpy(data.train_inputs[:SEARCHED])
            settings = _bits(make(), state, inputs, arithmetic, recipe, arguments["budgets"])
        point = train_point(make, data, arithmetic, recipe, settings=settings, float_state=state)
        model = point.model
        values = {"accuracy": point.validation_accuracy, "float_accuracy": point.float_accuracy}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, MODEL)
        qat.export_onnx(model, path)
        content, graph = path.read_bytes(), load_onnx(path)
    values |= {
        "weight_bytes": qat.weight_bytes(model),
        "layer_bits": qat.layer_bits(model),
        "structure": structure(graph),
    }
    return Outcome(values, {MODEL: content})


def _bits(
    model: torch.nn.Module,
    state: bytes,
    inputs: torch.Tensor,
    arithmetic: Arithmetic,
    recipe: TrainingRecipe,
    budgets: Mapping[str, int],
) -> qat.Settings | None:
    """The bits of each layer with which weights and activations fit their budgets, and the output changes least.

    None where all of the arithmetic's bits fit, and there is nothing to search for.
    """
    load_state(model, state, STATE)
    with one_thread(), torch.random.fork_rng(devices=()):
        torch.manual_seed(recipe.seed)
        prepared = quantized(model.eval(), inputs, arithmetic, replace(recipe, kind="ptq"))
        weights = budgets.get("weight_budget", MOST_BYTES)
        activations = budgets.get("activation_budget", MOST_BYTES)
        if qat.weight_bytes(prepared) <= weights and qat.activation_bytes(prepared, inputs[:1]) <= activations:
            return None
        batches = inputs.split(recipe.batch)
        return qat.search_bits(prepared, batches, None, weights, activation_bytes=budgets.get("activation_budget"))
