"""The routes by which a prepared model computes on other devices give the CPU's codes.

Where there are no compiled passes, torch's operations requantize and products are float64; here that runs on the CPU.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import qat
from qat.integers import exact_product, planes, quantize, requantize
from tests.qat.networks.prepared_models import assert_equal, models, training

MODELS = models("ResNet-8", "TCN", "recommender", "LSTM cell")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
Outcome = tuple[dict[str, np.ndarray], dict[str, Tensor], dict[str, Tensor]]
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def outcome(model: qat.PreparedModel, inputs: tuple[Tensor, ...]) -> Outcome:
    """Codes, counts and values; gradients; and the state behind a pass in train(). All on the CPU."""
    exact = {**qat.codes(model, *inputs)}
    exact |= {f"overflows of {name}": counts for name, counts in qat.overflow_counts(model, *inputs).items()}
    exact["eval"] = model.eval()(*inputs).detach().cpu().numpy()
    result = training(model)(*inputs)
    exact["train"] = result.detach().cpu().numpy()
    result.square().mean().backward()
    gradients = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    return exact, gradients, {name: value.cpu() for name, value in model.state_dict().items()}


def route(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what follows compute as on `device`, with settings that would make its float32 products inexact."""
    if device == "cuda":
        monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    else:
        monkeypatch.setattr(exact_product, "float32_is_exact", lambda x: False)
        for module in (planes, quantize, requantize):
            monkeypatch.setattr(module, "numba_installed", lambda: False)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
@pytest.mark.parametrize("name", MODELS)
def test_codes_are_those_of_the_compiled_passes(name: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outcome(*MODELS[name]())
    route(device, monkeypatch)
    model, inputs = MODELS[name]()
    found = outcome(model.to(device), tuple(x.to(device) for x in inputs))
    assert_equal(found[0], expected[0])
    for part, reference in zip(found[1:], expected[1:], strict=True):
        assert set(part) == set(reference)
        for key, value in part.items():
            # Floats, added in another order.
            torch.testing.assert_close(value, reference[key], rtol=1e-3, atol=1e-5, msg=lambda text, k=key: k + text)


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    route("cpu", monkeypatch)
    for module in (planes, quantize, requantize):
        monkeypatch.setattr(module, "run", None)
    model, inputs = MODELS["ResNet-8, default"]()
    training(model)(*inputs).sum().backward()
