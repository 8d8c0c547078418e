"""Capturing a model: names, fusing, functions and in-place operators, and errors that name node and line."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import qat
from emulator import Arithmetic
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, float_result, images, layers, randomized


def test_names_and_parameters_are_the_models_own() -> None:
    model = randomized(Mixed())
    state = copy.deepcopy(model.state_dict())
    prepared = qat.prepare(model, images(2))
    assert layers(prepared) == [
        "features.0", "features.2", "features.4", "features.7", "mix", "drop", "view", "hidden", "head",
    ]  # fmt: skip
    added = {name for name in prepared.state_dict() if name.startswith("quantizers.")}
    assert set(prepared.state_dict()) - added == set(state)
    for name, tensor in state.items():
        assert torch.equal(prepared.state_dict()[name], tensor)
        assert prepared.state_dict()[name].data_ptr() != model.state_dict()[name].data_ptr()
    assert prepared.features[0].weight is dict(prepared.named_parameters())["features.0.weight"]
    assert not prepared.training and prepared.quantizers.arithmetic == Arithmetic()


def test_the_float_values_are_the_models() -> None:
    for model in (randomized(Mixed()), randomized(Pooled())):
        prepared = qat.prepare(model, images(2))
        x = images(2)
        torch.testing.assert_close(float_result(prepared, x), model(x))
        # 8-bit codes are near the float values; how near is no part of the contract.
        error = (prepared(x) - model(x)).abs().mean() / model(x).abs().mean()
        assert error < 0.1


def test_modes_are_kept() -> None:
    model = Mixed().train()
    model.features[1].eval()
    prepared = qat.prepare(model, images(2))
    assert prepared.training and not prepared.features[1].training and prepared.features[5].training
    assert model.training and not model.features[1].training


def test_layers_may_be_called_input_output_or_layers(tmp_path: Path) -> None:
    class Names(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input = nn.Conv2d(3, 4, 3)
            self.layers = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
            self.output = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.output(self.layers(self.input(x)))

    assert_equal_codes(qat.prepare(Names(), images(2)), images(3), tmp_path)


def test_vectors_without_any_map(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.1), nn.Linear(9, 3))
    x = images(7, shape=(6,))
    assert_equal_codes(qat.prepare(randomized(model), (x,), Arithmetic(accumulator_bits=12)), x, tmp_path)


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (Mixed().forward, images(2), r"model must be a torch\.nn\.Module, not method"),
        (Mixed(), (images(2), images(2)), "model must be traceable"),
        (Mixed(), (images(2), images(3)), r"example_inputs must have one batch size, not \[2, 3\]"),
        (Mixed(), (), "example_inputs must hold at least one tensor, not none"),
        (Mixed(), [1.0], "example_inputs must be a float or an integer tensor, not float"),
        (Mixed(), (images(2), "a"), r"example_inputs\[1\] must be a float or an integer tensor, not str"),
        (Mixed(), images(2)[0].flatten(), r"example_inputs must have shape .*, not \(126,\)"),
        (Mixed().double(), images(2).double(), r"model must be in float32, not torch\.float64 as its tensor 'f"),
        (Mixed().half(), images(2), r"model must be in float32, not torch\.float16"),
        (Mixed(), images(0), r"example_inputs must have shape .*, not \(0, 3, 7, 6\)"),
        (nn.ModuleDict({"quantizers": nn.Linear(1, 1)}), images(2), "model must be traceable"),
    ],
)
def test_bad_arguments(model: nn.Module, example: Tensor, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        qat.prepare(model, example)


def test_more_bad_arguments() -> None:
    prepared = qat.prepare(nn.Conv2d(3, 4, 3), images(2))
    with pytest.raises(ValueError, match="model must be a float model, not one that is prepared already"):
        qat.prepare(prepared, images(2))
    with pytest.raises(TypeError, match="arithmetic must be an Arithmetic, not 12"):
        qat.prepare(nn.Conv2d(3, 4, 3), images(2), 12)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be finite, not from"):
        qat.prepare(nn.Conv2d(3, 4, 3), images(2) / 0)


def test_an_average_that_does_not_fit_the_sum_is_an_error() -> None:
    x = torch.rand(1, 1, 200, 200)
    with pytest.raises(ValueError, match="layer '0': kernel must keep the sum in 24 bits"):
        qat.prepare(nn.Sequential(nn.AvgPool2d(200)), x, Arithmetic(accumulator_bits=16)).eval()(x)


def test_any_number_of_arguments() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(4, 3), nn.Linear(5, 3)])

        def forward(self, *inputs: Tensor) -> Tensor:
            return sum(part(x) for part, x in zip(self.parts, inputs, strict=False))

    model, x = Several(), (images(6, shape=(4,)), images(6, shape=(5,)))
    for count in (1, 2):
        torch.testing.assert_close(float_result(qat.prepare(model, x[:count]), *x[:count]), model(*x[:count]))


class Undecided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if y.sum() > 0 else -y


def test_a_branch_on_values_is_named_and_nothing_else_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    line = r"test_prepare\.py, line \d+: `return y if y\.sum\(\) > 0 else -y`\)$"
    with pytest.raises(ValueError, match=rf"model must be traceable by torch\.export .*{line}"):
        qat.prepare(Undecided(), images(2))
    assert capfd.readouterr() == ("", "")


def test_a_prepared_module_inside_is_named() -> None:
    inner = qat.prepare(nn.Conv2d(3, 4, 3), images(2))
    with pytest.raises(ValueError, match="model must be a float model, but its module '0' is prepared already"):
        qat.prepare(nn.Sequential(inner, nn.ReLU()), images(2))


def test_a_model_that_cannot_be_copied() -> None:
    model = nn.Conv2d(3, 4, 3)
    prune.l1_unstructured(model, "weight", 0.5)
    with pytest.raises(ValueError, match=r"model must be one that copy\.deepcopy copies: Only Tensors"):
        qat.prepare(model, images(2))


def test_examples_in_float64_are_those_in_float32() -> None:
    model, x = nn.Conv2d(3, 4, 3), images(4)
    expected = qat.prepare(model, x).state_dict()
    found = qat.prepare(model, x.double()).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
