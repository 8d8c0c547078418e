"""Networks for an arithmetic: the same bits whatever runs beside, no test data, the kinds of recipes, errors."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

import qat
from codesign.datasets import Dataset, load_builtin
from codesign.training import TrainingRecipe
from codesign.training.fit import one_thread
from codesign.training.point import train_float, train_point
from codesign.training.state import load_state, state_bytes
from compiler import load_onnx
from emulator import Arithmetic

RECIPE = TrainingRecipe(float_epochs=8, epochs=2, seed=3)
NARROW = Arithmetic(accumulator_bits=10)


def make() -> nn.Module:
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
        "norm": nn.BatchNorm2d(8),
        "relu": nn.ReLU(),
        "flatten": nn.Flatten(),
        "head": nn.Linear(128, 10),
    }
    return nn.Sequential(OrderedDict(layers))


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = load_builtin("digits8")
    few: dict[str, Any] = {
        f"{part}_{what}": getattr(whole, f"{part}_{what}")[:count]
        for part, count in (("train", 256), ("validation", 100))
        for what in ("inputs", "labels")
    }
    return replace(whole, **few, test_labels=np.zeros_like(whole.test_labels))


@pytest.fixture(scope="module")
def state(data: Dataset) -> bytes:
    return train_float(make, data, RECIPE)


def bits(model: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def test_one_thread_is_also_one_of_blas() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_thread():
            assert before and threads() == [1] * len(before) and torch.get_num_threads() == 1
        assert threads() == before


def test_the_bits_are_the_seeds_alone(data: Dataset, state: bytes) -> None:
    expected = train_point(make, data, NARROW, RECIPE, float_state=state)
    threads = torch.get_num_threads()
    torch.manual_seed(99)
    before = torch.get_rng_state()
    torch.set_num_threads(threads + 1)  # another worker's surroundings
    try:
        again = train_point(make, data, NARROW, RECIPE)  # which trains the float network too
        assert torch.get_num_threads() == threads + 1 and torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)
    assert bits(again.model) == bits(expected.model) and again[1:] == expected[1:]
    other = train_float(make, data, RECIPE, seed=4)
    assert other == train_float(make, data, replace(RECIPE, seed=4, kind="ptq")) != state


def test_accuracies_are_shares_of_the_validation_data(data: Dataset, state: bytes) -> None:
    point = train_point(make, data, NARROW, RECIPE, float_state=state)
    inputs, labels = torch.from_numpy(data.validation_inputs), torch.from_numpy(data.validation_labels)
    model = make()
    load_state(model, state)
    for trained, accuracy in ((model.eval(), point.float_accuracy), (point.model, point.validation_accuracy)):
        with torch.no_grad():
            right = sum(int(trained(x[None]).argmax()) == int(y) for x, y in zip(inputs, labels, strict=True))
        assert accuracy == right / 100
    assert not point.model.training and point.float_accuracy > 0.8


def test_kinds_are_what_they_are_called(data: Dataset, state: bytes) -> None:
    trained = make()
    load_state(trained, state)
    images = torch.from_numpy(data.train_inputs)
    expected = qat.prepare(trained.eval(), (images[:64],), NARROW)
    qat.calibrate(expected, images.split(64))
    made = {
        kind: train_point(make, data, NARROW, replace(RECIPE, kind=kind, epochs=0), float_state=state).model
        for kind in ("ptq", "fitted", "qat")
    }
    assert bits(made["ptq"]) == bits(expected)
    qat.fit_accumulator(expected, images.split(64))
    assert bits(made["fitted"]) == bits(made["qat"]) == bits(expected)
    assert bits(made["fitted"]) != bits(made["ptq"])


def test_what_begins_with_another_kinds_model_may_be_given_it(data: Dataset, state: bytes) -> None:
    model = None
    for kind in ("ptq", "fitted", "qat"):
        recipe, before = replace(RECIPE, kind=kind), None if model is None else bits(model)
        made = train_point(make, data, NARROW, recipe, float_state=state, before=model)
        expected = train_point(make, data, NARROW, recipe, float_state=state)
        assert bits(made.model) == bits(expected.model) and made[1:] == expected[1:]
        assert model is None or bits(model) == before
        model = made.model
    with pytest.raises(ValueError, match="before must be None for the kind 'adaround', which begins with no other's"):
        train_point(make, data, NARROW, replace(RECIPE, kind="adaround"), float_state=state, before=model)


def test_calibration_looks_at_the_first_data(data: Dataset, state: bytes) -> None:
    recipe = replace(RECIPE, kind="ptq", calibration=100)
    few = replace(data, train_inputs=data.train_inputs[:100], train_labels=data.train_labels[:100])
    given = train_point(make, data, NARROW, recipe, float_state=state)
    assert bits(given.model) == bits(train_point(make, few, NARROW, recipe, float_state=state).model)
    whole = train_point(make, data, NARROW, replace(recipe, calibration=256), float_state=state)
    assert bits(given.model) != bits(whole.model)


def test_a_module_is_copied_and_settings_reach_its_layers(data: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, recipe = make(), TrainingRecipe(float_epochs=0, kind="ptq")
    before = bits(module)
    point = train_point(module, data, Arithmetic(), recipe, settings={"conv": {"weight_bits": 2}})
    assert bits(module) == before
    qat.export_onnx(point.model, tmp_path / "model.onnx")
    largest = {
        node.name: np.abs(node.weight).max()
        for node in load_onnx(tmp_path / "model.onnx").nodes
        if hasattr(node, "weight")
    }
    assert largest["conv"] <= 2 and largest["head"] > 100
    with pytest.raises(ValueError, match="rule 'conv9' must match a layer"):
        train_point(module, data, Arithmetic(), recipe, settings={"conv9": {"weight_bits": 2}})


def test_adaround_changes_weights_and_no_width(data: Dataset, state: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def calibrate(model: qat.PreparedModel, batches: object, **options: object) -> None:
        seen.update(options)

    monkeypatch.setattr(qat, "calibrate", calibrate)
    train_point(make, data, NARROW, replace(RECIPE, kind="adaround"), float_state=state)
    assert seen == {"equalize": True, "bias_correction": True, "adaround": qat.AdaRound(seed=3)}


def test_a_state_of_something_else_is_refused(state: bytes) -> None:
    model = make()
    before = bits(model)
    wrong = io.BytesIO()
    arrays = dict(np.load(io.BytesIO(state)))
    np.savez(wrong, **(arrays | {"head.bias": np.zeros(11, np.float32)}))
    more = io.BytesIO()
    np.savez(more, **arrays, extra=np.zeros(1))
    for content, message in (
        (b"nothing", "x.npz: is not an .npz file"),
        (state[:-50], "x.npz: is not an .npz file"),
        (wrong.getvalue(), r"x.npz: array 'head.bias': must be float32 \(10,\), as the network's, not float32 \(11,\)"),
        (more.getvalue(), "x.npz: must hold what the network has, but differs in extra"),
    ):
        with pytest.raises(ValueError, match=message):
            load_state(model, content, "x.npz")
    assert bits(model) == before
    load_state(model, state)
    assert state_bytes(model) == state


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "lsq", "kind must be one of ptq, adaround, fitted, qat, not 'lsq'"),
        ("float_epochs", 1.0, "float_epochs must be an integer from 0 to 1048576, not 1.0"),
        ("epochs", -1, "epochs must be an integer"),
        ("calibration", 0, "calibration must be an integer from 1 to 1048576, not 0"),
        ("batch", 1, "batch must be an integer from 2 to 1048576, not 1"),
        ("float_learning_rate", 0, "float_learning_rate must be a positive number, not 0"),
        ("learning_rate", float("nan"), "learning_rate must be a positive number, not nan"),
        ("learning_rate", True, "learning_rate must be a positive number, not True"),
        ("distillation", 1.5, "distillation must be a number from 0 to 1, not 1.5"),
        ("seed", None, "seed must be an integer from 0 to"),
    ],
)
def test_recipes_are_checked(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe(**{field: value})


def test_recipes_that_share_a_float_network_say_so() -> None:
    assert replace(RECIPE, kind="ptq", epochs=9, distillation=1.0).float_part() == RECIPE.float_part()
    assert replace(RECIPE, seed=4).float_part() != RECIPE.float_part() != replace(RECIPE, batch=32).float_part()
