"""Modes and transforms of torch around `prepare` and a prepared model: they work, or the error says what to do."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

import qat
from tests.qat.networks import images


class Two(nn.Module):
    """A model of two arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a(x) + self.b(y)


X = images(5, shape=(4,))


def test_a_model_of_two_inputs_can_be_inspected() -> None:
    quantizers = qat.prepare(Two(), (X, X)).quantizers
    assert "input" not in dict(inspect.getmembers(quantizers)) and not hasattr(quantizers, "input")
    single = qat.prepare(Two().a, X).quantizers
    assert dict(inspect.getmembers(single))["input"] is single.inputs["input"]


def test_inference_mode() -> None:
    torch.manual_seed(0)
    expected = qat.prepare(nn.Linear(4, 3), X)(X)
    with torch.inference_mode():
        torch.manual_seed(0)
        model, x = nn.Linear(4, 3), X.clone()
        inside = qat.prepare(model, x)
    for prepared in (inside, qat.prepare(model, x)):
        assert torch.equal(prepared(X), expected)
        prepared.train()(X).sum().backward()
        assert all(prepared.get_parameter(name).grad is not None for name in ("weight", "bias"))


def test_the_meta_device() -> None:
    with torch.device("meta"):
        model = nn.Linear(4, 3)
        prepared = qat.prepare(nn.Linear(4, 3, device="cpu"), X)  # what is created anew needs numbers
    assert prepared(X).device.type == "cpu"
    with pytest.raises(ValueError, match=r"model must hold numbers, and its tensor 'weight' has none .*to_empty"):
        qat.prepare(model, X)
    with pytest.raises(ValueError, match="example_inputs must hold numbers, and tensor 0 has none on the device meta"):
        qat.prepare(nn.Linear(4, 3), X.to("meta"))
    with pytest.raises(TypeError, match="a prepared model must stay on a device that holds numbers, not go to meta"):
        prepared.to("meta")


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_transforms_are_refused() -> None:
    prepared, linear = qat.prepare(nn.Linear(4, 3), X), nn.Linear(4, 3)
    advice = r"must not run inside torch\.vmap .*: call it outside, with the samples along the batch axis"
    with pytest.raises(RuntimeError, match=f"^prepare {advice}"):
        torch.vmap(lambda x: qat.prepare(linear, x)(x))(X.view(1, 5, 4))
    with pytest.raises(RuntimeError, match=f"^a prepared model {advice}"):
        torch.vmap(prepared)(X.view(1, 5, 4))
    with pytest.raises(RuntimeError, match=f"^a prepared model {advice}"):
        torch.func.grad(lambda x: prepared(x).sum())(X)
    with pytest.raises(RuntimeError, match=r"inside torch\.jit\.trace, .*: qat\.export_onnx writes"):
        torch.jit.trace(qat.prepare(Two(), (X, X)).eval(), (X, X))
