"""Capturing a model: names, fusing, functions and in-place operators, and errors that name node and line."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, images, randomized


class Written(nn.Module):
    """A model whose forward is the given function of (self, x), with layers to use."""

    def __init__(self, function: Callable[[Written, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.other = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4 * 7 * 6, 5)
        self.wide = nn.Linear(3 * 7 * 6, 5)
        self.rows = nn.Linear(6, 5)
        self.one = nn.Conv2d(168, 5, 1)
        self.single = nn.Conv2d(3, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def layers(model: qat.PreparedModel) -> list[str]:
    return [layer.name for layer in model.quantizers]


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
        values = {"input": x}
        for layer in prepared.quantizers:
            values[layer.name] = layer.real([values[source] for source in layer.sources], prepared)
        torch.testing.assert_close(values[prepared.quantizers.output], model(x))
        # 8-bit codes are near the float values; how near is no part of the contract.
        error = (prepared(x) - model(x)).abs().mean() / model(x).abs().mean()
        assert error < 0.1


def test_modes_are_kept() -> None:
    model = Mixed().train()
    model.features[1].eval()
    prepared = qat.prepare(model, images(2))
    assert prepared.training and not prepared.features[1].training and prepared.features[5].training
    assert model.training and not model.features[1].training


VARIANTS: dict[str, tuple[Callable[[Written, Tensor], Tensor], list[str]]] = {
    "functions": (lambda m, x: F.max_pool2d(F.relu(m.norm(m.conv(x))), 2), ["conv", "max_pool2d"]),
    "an activation behind a pool": (lambda m, x: F.relu(F.max_pool2d(m.conv(x), 2)), ["conv", "max_pool2d"]),
    "in place": (lambda m, x: m.other(F.relu_(m.conv(x)).clamp_(max=1.0)), ["conv", "other"]),
    "in place, result unused": (lambda m, x: _in_place(m.conv(x)), ["conv", "max_pool2d"]),
    "a layer twice": (lambda m, x: m.other(F.relu(m.other(m.conv(x)))), ["conv", "other", "other_1"]),
    "an activation of the input": (lambda m, x: m.conv(F.relu(x)), ["relu", "conv"]),
    "an activation that changes nothing": (lambda m, x: F.max_pool2d(F.relu(m.conv(x)).clamp(min=0), 3), None),
    "an activation of a pooled map": (lambda m, x: F.hardtanh(F.avg_pool2d(m.conv(x), 2), -0.1, 0.2), None),
    "a clamp away from 0 behind a dropout": (
        lambda m, x: F.dropout(m.conv(x), 0.5, m.training).clamp(min=0.1),
        ["conv", "dropout", "clamp"],
    ),
    "identities": (lambda m, x: m.conv(x).contiguous().clone().float(), ["conv"]),
    "flatten": (lambda m, x: m.linear(torch.flatten(m.conv(x), 1)), ["conv", "flatten", "linear"]),
    "reshape": (lambda m, x: m.linear(m.conv(x).reshape(-1, 168)), ["conv", "reshape", "linear"]),
    "an activation behind flatten": (
        lambda m, x: m.linear(F.relu(m.conv(x).flatten(1))),
        ["conv", "flatten", "linear"],
    ),
    "a flattened input": (lambda m, x: m.wide(x.flatten(1)), ["flatten", "wide"]),
    "a global maximum": (lambda m, x: F.adaptive_max_pool2d(m.conv(x), 1), None),
    "amax": (lambda m, x: m.conv(x).amax((2, 3)), ["conv", "amax", "amax_1"]),
    "mean": (lambda m, x: m.conv(x).mean((-1, -2), keepdim=True), ["conv", "mean"]),
    "an adaptive pool": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x), (7, 2)), ["conv", "adaptive_avg_pool2d"]),
    "one pixel flattened": (
        lambda m, x: F.relu(F.adaptive_avg_pool2d(m.conv(x), 1).flatten(1)),
        ["conv", "adaptive_avg_pool2d", "flatten"],
    ),
    "one channel flattened": (lambda m, x: m.single(x).flatten(1), ["single", "flatten"]),
    "squeeze": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 1).squeeze(-1).squeeze(-1), None),
}


def _shared(m: Written, x: Tensor) -> Tensor:
    return m.norm(x) + x


def _overwritten(x: Tensor) -> Tensor:
    rows = x.flatten(1)
    x.relu_()
    return rows


def _in_place(x: Tensor) -> Tensor:
    x.relu_()
    return F.max_pool2d(x, 2, ceil_mode=False)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, tmp_path: Path) -> None:
    function, expected = VARIANTS[name]
    prepared = qat.prepare(randomized(Written(function)), images(3), Arithmetic(accumulator_bits=14))
    if expected is not None:
        assert layers(prepared) == expected
    assert_equal_codes(prepared, images(5, 1), tmp_path)


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


UNSUPPORTED: dict[str, tuple[Callable[[Written, Tensor], Tensor], str]] = {
    "softmax": (lambda m, x: m.conv(x).softmax(1), "node 'softmax' .*: this operator is not supported"),
    "add": (
        lambda m, x: m.conv(x) + m.single(x),
        r"node 'add' .*: its operands must have one shape, not \(4, 7, 6\) and",
    ),
    "norm": (lambda m, x: m.norm(F.relu(m.other(m.conv(x)))), "node 'norm' .*: a BatchNorm must follow a convolution"),
    "norm of a shared map": (lambda m, x: _shared(m, m.conv(x)), "node 'norm' .*: .* directly, as its only reader"),
    "quotient": (lambda m, x: m.conv(x) / m.other(m.conv(x)), "node 'div' .*: a quotient must be of one tensor and a"),
    "alpha": (lambda m, x: torch.add(m.conv(x), m.conv(x), alpha=2), "node 'add' .*: alpha must be 1, not 2"),
    "power": (lambda m, x: m.conv(x) ** 3, "node 'pow.*' .*: the exponent must be 2, not 3"),
    "a view overwritten": (lambda m, x: _overwritten(m.conv(x)), "shares memory with what node 'relu_' .* overwrites"),
    "transpose": (lambda m, x: m.conv(x).transpose(1, 2), "node 'transpose' .*: this operator is not supported"),
    "reshape": (lambda m, x: m.conv(x).view(-1, 2, 84), "node 'view' .*: a reshape must flatten a feature map"),
    "ceil": (lambda m, x: F.max_pool2d(m.conv(x), 2, ceil_mode=True), "node 'max_pool2d' .*: ceil_mode must be False"),
    "divisor": (lambda m, x: F.avg_pool2d(m.conv(x), 2, divisor_override=3), "divisor_override must be None, not 3"),
    "uneven": (
        lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 2),
        "an adaptive pool's output 2×2 must divide its input 7×6",
    ),
    "map": (lambda m, x: m.one(m.conv(x).view(-1, 168, 1, 1)), "node 'view' .*: a reshape must flatten a feature map"),
    "vector": (lambda m, x: m.linear(m.conv(x).flatten(1)).view(-1, 5, 1, 1), r"not \(5,\) to \(5, 1, 1\)"),
    "window": (
        lambda m, x: F.max_pool2d(m.conv(x), 2, 1, 1, 7),
        r"node 'max_pool2d' .*: padding must leave every window a position on the map, not \(1, 1\)",
    ),
    "flatten": (
        lambda m, x: m.conv(x).flatten(1),
        "^node 'flatten' .*: the model must not end in a flattened feature map, which the accelerator stores channels",
    ),
    "flatten and more": (
        lambda m, x: F.dropout(m.conv(x).view(-1, 168), 0.5, m.training).clamp(min=0.1),
        "^node 'view' .*: the model must not end in a flattened feature map",
    ),
    "flattened input": (lambda m, x: x.flatten(1), "^node 'flatten' .*: the model must not end in a flattened"),
    "mean": (lambda m, x: m.conv(x).mean(1), "node 'mean' .*: a reduction must go over height and width"),
    "rows": (lambda m, x: m.rows(m.conv(x)), r"its input must have shape \(batch, length\)"),
    "weight": (lambda m, x: F.conv2d(x, m.conv.weight * 2), "node 'conv2d' .*: its weight must be a parameter of the"),
    "dropout": (lambda m, x: F.dropout(m.conv(x), 0.5, True), "a dropout must be off in eval mode"),
    "type": (lambda m, x: m.conv(x).double(), "the type of its tensor must stay the same"),
    "two results": (lambda m, x: (m.conv(x), m.conv(x)), "the model must return one tensor"),  # type: ignore[dict-item]
    "batch": (lambda m, x: m.conv(x).reshape(2, -1), "model must be traceable by torch.export for any batch size"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named(name: str) -> None:
    function, message = UNSUPPORTED[name]
    with pytest.raises(ValueError, match=message):
        qat.prepare(Written(function), images(2))


def test_the_line_of_the_source_is_named() -> None:
    with pytest.raises(ValueError) as error:
        qat.prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(1)), images(2))
    assert str(error.value) == "node '1' (aten.softmax.int): this operator is not supported"  # no line but torch's own
    with pytest.raises(ValueError, match=re.escape(str(Path(__file__).name)) + r", line \d+: `return self"):
        qat.prepare(Written(lambda m, x: m.conv(x).logsumexp(1)), images(2))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Softmax(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x)

    with pytest.raises(ValueError, match=re.escape(Path(__file__).name) + r", line \d+: `return self\.part\(x\)`\)"):
        qat.prepare(Model(), images(2))


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
