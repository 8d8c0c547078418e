"""What layers other than the weighted ones give their inputs and scales as gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from qat.layers.layer import Step
from qat.scales.scale import LOG_GAIN
from tests.qat.networks import Written, images, randomized

LEARNED = {"*": {"scale": "learned"}}


def single(function: Callable[[Tensor], Tensor]) -> qat.PreparedModel:
    """The identity, and the function of it; codes of −8 … 8."""
    model = Written(lambda m, x: function(m.single(x)))
    model.single = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(model.single.weight)
    return qat.prepare(model, torch.tensor([-8.0, 8.0]).view(2, 1, 1, 1)).eval()


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("value", "bound"), [(-8.0, -1.0), (8.0, 2.0)])
def test_what_a_clamp_cuts_off_is_constant_on_either_side(alone: bool, value: float, bound: float) -> None:
    def function(x: Tensor) -> Tensor:
        # Another reader of what is clamped keeps the clamp a layer of its own.
        return F.hardtanh(x, -1, 2) + 0 * x if alone else F.hardtanh(x, -1, 2)

    prepared = single(function)
    name = "hardtanh" if alone else "single"
    quantizer = prepared.quantizers.layers["single"].output
    quantizer.scale.set(torch.tensor(0.0625))
    x = torch.full((1, 1, 1, 1), value)
    result = prepared.quantizers({"input": x}, Step(prepared))[name]
    assert result.real.item() == bound
    result.centered.backward()
    # The code of a constant is the constant over the scale.
    assert quantizer.scale.log_ratio.grad.item() * LOG_GAIN == pytest.approx(-bound / 0.0625)
    assert not prepared.get_parameter("single.weight").grad


def test_features_of_a_broadcast_sum_are_those_of_its_result() -> None:
    def function(model: Written, x: Tensor) -> Tensor:
        y = model.conv(x)
        return y.mean((2, 3), keepdim=True) + y

    prepared = qat.prepare(randomized(Written(function)), images(4), settings=LEARNED)
    output, seen = prepared.quantizers.layers["add"].output, []
    output.scale.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    prepared(images(3))
    largest = max(127 - int(output.zero_point), int(output.zero_point) + 128)
    assert seen == [pytest.approx(1 / math.sqrt(4 * 7 * 6 * largest))]


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sqrt": lambda x: F.relu(x).sqrt(),
    "log": lambda x: F.relu(x - 0.001).log(),
    "reciprocal": lambda x: F.relu(x).reciprocal(),
}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_infinite_values_and_slopes_have_no_gradient(name: str, mode: str) -> None:
    model = randomized(Written(lambda m, x: FUNCTIONS[name](m.conv(x))))
    model.conv.bias.data.fill_(9)  # finite on what it is prepared with
    prepared = qat.prepare(model, images(4), Arithmetic(), settings=LEARNED).train(mode == "train")
    prepared.get_parameter("conv.bias").data.fill_(0)
    result = prepared(images(6, 1))
    codes = qat.codes(prepared, images(6, 1))["conv"]
    assert (codes == codes.min()).sum() > 100
    result.sum().backward()
    for parameter in prepared.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    assert (prepared.get_parameter("conv.weight").grad != 0).any()


def test_inference_mode_is_no_obstacle_to_training() -> None:
    prepared = qat.prepare(randomized(Written(lambda m, x: torch.tanh(m.conv(x)))), images(4))
    with torch.inference_mode():
        expected = prepared.eval()(images(4))
    result = prepared.train()(images(4))
    assert torch.equal(result, expected)
    result.square().sum().backward()
    assert (prepared.get_parameter("conv.weight").grad != 0).any()


def test_a_second_derivative_is_refused() -> None:
    x = images(2).requires_grad_()
    prepared = qat.prepare(randomized(Written(lambda m, x: F.relu(m.conv(x)))), images(4))
    (gradient,) = torch.autograd.grad(prepared(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        gradient.square().sum().backward()
