"""What `export_tflite` refuses, in a sentence that names the layer and a way out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import Written, images, randomized


def prepared(function: Callable[[Written, Tensor], Tensor], **settings: Any) -> qat.PreparedModel:
    return qat.prepare(randomized(Written(function)), images(8), Arithmetic.tflm(), **settings)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: F.gelu(m.conv(x)), r"layer 'gelu': its function must be one that TFLM has: Sigmoid, .* not Gelu"),
        (
            lambda m, x: F.avg_pool2d(m.conv(x), 3, 2, 1, count_include_pad=False),
            r"layer 'avg_pool2d': its padding must be TFLite's VALID or SAME where it does not count, not \(1, 1\)",
        ),
        (
            lambda m, x: torch.where(m.conv(x) > 0, m.conv(x), 0.1),
            "layer '.*': TFLM must have an operator for it, and has none for Condition: compute it in front of",
        ),
        (
            lambda m, x: m.conv(x) @ m.conv(x).mT / 2,
            "layer 'matmul': TFLM's product of two activations has no factor, which is 0.5 here: multiply the weights",
        ),
    ],
)
def test_layers(function: Callable[[Written, Tensor], Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        qat.export_tflite(prepared(function), tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_weights_with_zero_points(tmp_path: Path) -> None:
    model = prepared(lambda m, x: m.conv(x), settings={"conv": {"symmetric_weights": False}})
    with pytest.raises(ValueError, match=r"layer 'conv': its weights must have zero points of 0, .* symmetric_weights"):
        qat.export_tflite(model, tmp_path / "model.tflite")


def test_sums_beyond_32_bits(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    torch.nn.init.constant_(model.bias, 3e5)
    torch.nn.init.constant_(model.weight, 1e-3)
    made = qat.prepare(nn.Sequential(model), images(8, shape=(3,)) * 1e-3, Arithmetic.tflm())
    with pytest.raises(ValueError, match="layer '0': its sums must stay within 32 bits for every input"):
        qat.export_tflite(made, tmp_path / "model.tflite")


def test_another_arithmetic(tmp_path: Path) -> None:
    model = qat.prepare(randomized(Written(lambda m, x: m.conv(x))), images(8))
    with pytest.raises(
        ValueError, match=r"model must be prepared with Arithmetic.tflm\(\), which is what TFLM computes"
    ):
        qat.export_tflite(model, tmp_path / "model.tflite")
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Linear"):
        qat.export_tflite(nn.Linear(1, 1), tmp_path / "model.tflite")  # type: ignore[arg-type]


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("qat.tflite", "compiler.tflite"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"export_tflite needs the package flatbuffers: pip install 'lockstep"
    ):
        qat.export_tflite(prepared(lambda m, x: m.conv(x)), tmp_path / "model.tflite")
