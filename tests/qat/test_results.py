"""Models with several results: their structure in torch, their names in the file, and the way to the accelerator."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import qat
from codesign.cli import HOLDS, main
from codesign.inputs import read_npz
from compiler import compile_graph, load_onnx
from emulator import Arithmetic, Machine, run_graph
from rtl import simulate
from tests.codesign.command import runs
from tests.codesign.models import small_config
from tests.end_to_end.configs import CONFIGS
from tests.qat.networks import Written, images, randomized
from tests.qat.networks.detector import Detector

Pair = namedtuple("Pair", ["first", "second"])


def both(m: Written, x: Tensor) -> tuple[Tensor, Tensor]:
    y = m.conv(x)
    return y, m.other(y).relu()


STRUCTURES: dict[str, tuple[Callable[[Written, Tensor], Any], list[str]]] = {
    "tuple": (both, ["output_0", "output_1"]),
    "list": (lambda m, x: list(both(m, x)), ["output_0", "output_1"]),
    "named tuple": (lambda m, x: Pair(*both(m, x)), ["output_0", "output_1"]),
    "dict": (lambda m, x: dict(zip(("late", "early"), both(m, x)[::-1], strict=True)), ["late", "early"]),
    "one in a dict": (lambda m, x: {"out": m.conv(x)}, ["output"]),
    "nested": (
        lambda m, x: ({"a": both(m, x)}, m.linear(m.conv(x).flatten(1))),
        ["output_0_a_0", "output_0_a_1", "output_1"],
    ),
    "the same twice": (lambda m, x: [both(m, x)[0].sigmoid()] * 2, ["output_0", "output_1"]),
    "a flattened map": (lambda m, x: (m.conv(x), m.conv(x).flatten(1)), ["output_0", "output_1"]),
    "the input": (lambda m, x: (x, m.conv(x)), ["output_0", "output_1"]),
    "a result called input": (lambda m, x: {"input": m.conv(x), "norm": x.sigmoid()}, ["input", "norm"]),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_and_names(name: str, tmp_path: Path) -> None:
    function, names = STRUCTURES[name]
    model = randomized(Written(function))
    x = images(3)
    prepared = qat.prepare(model, x, Arithmetic(accumulator_bits=14, activation_bits=7)).eval()
    file = tmp_path / "model.onnx"
    qat.export_onnx(prepared, file)
    assert [value.name for value in onnx.load(file).graph.output] == names
    graph = load_onnx(file)
    found = run_graph(graph, qat.host_inputs(prepared, x))
    with torch.no_grad():
        expected, given = prepared(x), model(x)
    results = flat(expected, given)
    assert list(found) == names and len(results) == len(names)
    for codes, (y, _), tensor in zip(found.values(), results, graph.outputs.values(), strict=True):
        made = graph.tensor(tensor)
        dequantized = (codes.astype(np.float32) - made.zero_point) * np.float32(made.scale)
        np.testing.assert_array_equal(dequantized, y.numpy())


def flat(found: Any, given: Any) -> list[tuple[Tensor, Tensor]]:
    """The tensors in both, which have one structure."""
    assert type(found) is type(given)
    if isinstance(found, Tensor):
        assert found.shape == given.shape
        return [(found, given)]
    if isinstance(found, dict):
        assert list(found) == list(given)
        found, given = list(found.values()), list(given.values())
    assert len(found) == len(given)
    return [pair for one, other in zip(found, given, strict=True) for pair in flat(one, other)]


def test_the_accelerator_has_all_results(tmp_path: Path) -> None:
    config = CONFIGS["4x4"]
    prepared = qat.prepare(randomized(Detector()), images(4, shape=(3, 8, 4)), config.arithmetic)
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    graph = load_onnx(tmp_path / "model.onnx")
    program = compile_graph(graph, config)
    x = qat.host_inputs(prepared, images(1, seed=1, shape=(3, 8, 4)))
    expected = run_graph(graph, x)
    machine, rtl = Machine(config).run(program, x), simulate(program, config, x)
    assert list(expected) == ["scores_0", "scores_1", "boxes_0", "boxes_1", "auxiliary"]
    assert list(machine.outputs) == list(rtl.outputs) == list(expected)
    for name, codes in expected.items():
        np.testing.assert_array_equal(machine.outputs[name], codes, err_msg=name)
        np.testing.assert_array_equal(rtl.outputs[name], codes, err_msg=name)
    assert machine.cycles == rtl.cycles


def test_the_command_line_has_all_results(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    prepared = qat.prepare(randomized(Detector()), images(4, shape=(3, 16, 12)))
    file, given, codes = (tmp_path / name for name in ("model.onnx", "x.npz", "y.npz"))
    qat.export_onnx(prepared, file)
    x = qat.host_inputs(prepared, images(2, seed=1, shape=(3, 16, 12)))
    np.savez(given, **x)
    expected = run_graph(load_onnx(file), x)
    result = runs(capsys, ["run", file, "--inputs", given, "--output", codes, "--config", small_config(tmp_path)])
    written = read_npz(codes)
    assert list(written) == list(result["outputs"]) == list(expected)  # type: ignore[call-overload]
    for name, array in expected.items():
        np.testing.assert_array_equal(written[name], array)
    assert result["mismatches"] == {"emulator_machine": 0, "emulator_machine_counters": 0}
    assert runs(capsys, ["validate", file, "--inputs", given])["holds"] is True
    assert main([str(part) for part in ("run", file, "--inputs", given)]) == HOLDS
    shown = capsys.readouterr().out
    assert all(name in shown for name in expected)


def test_training_takes_a_loss_of_all_results(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, classes = images(12, shape=(3, 16, 12)), torch.arange(12) % 5
    prepared = qat.prepare(randomized(Detector()), x)
    other = copy.deepcopy(prepared)

    def loss(results: dict[str, Any], target: Tensor) -> Tensor:
        return F.cross_entropy(results["auxiliary"], target) + sum(y.square().mean() for y in results["boxes"])

    losses: list[float] = []
    for model in (prepared, other):
        qat.train(model, [(x, classes)], epochs=4, loss=loss, on_step=lambda _, value: losses.append(value))
    assert losses[3] < losses[0] and losses[:4] == losses[4:]
    qat.save_checkpoint(tmp_path / "run.pt", prepared)
    fresh = qat.prepare(randomized(Detector()), x)
    qat.load_checkpoint(tmp_path / "run.pt", fresh)
    with torch.no_grad():
        for one, two in flat(fresh(x), prepared(x)):
            assert torch.equal(one, two)


def test_distillation_wants_one_result() -> None:
    x = images(2, shape=(3, 16, 12))
    prepared = qat.prepare(randomized(Detector()), x)
    distillation = qat.Distillation(teacher=prepared)
    with pytest.raises(TypeError, match="student and teacher must be tensors of logits, not dict"):
        distillation((x,), prepared(x), torch.zeros(()))
