"""Every layer that TFLM has an operator for, by models of a few layers, which are read back, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_array_equal
from torch import Tensor, nn

import qat
from codesign.peers.tflm import run_tflm
from compiler import load_model
from emulator import Arithmetic, run_graph
from tests.qat.networks import Written, images, randomized
from tests.qat.networks.in_tflm import assert_tflm_agrees, file_inputs

Function = Callable[[Written, Tensor], Any]


class More(Written):
    """Convolutions of other kinds beside those of `Written`."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.grouped = nn.Conv2d(4, 6, (2, 3), groups=2, padding=(1, 2))
        self.depthwise = nn.Conv2d(4, 8, 3, stride=(2, 1), groups=4, padding="valid")
        self.dilated = nn.Conv2d(4, 5, 2, dilation=(2, 1), padding="same")
        self.strided = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.line = nn.Conv1d(4, 6, 3, padding=2)
        self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)
        self.up_unevenly = nn.ConvTranspose2d(4, 4, (3, 2), stride=(1, 3), padding=(2, 0), groups=2)
        self.up_depthwise = nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4)
        self.up_line = nn.ConvTranspose1d(4, 3, 5, stride=3, padding=4)


FUNCTIONS: dict[str, Function] = {
    "padding that is SAME": lambda m, x: m.other(m.conv(x)),
    "padding that is neither": lambda m, x: m.grouped(m.conv(x)),
    "padding that is SAME for one size only": lambda m, x: m.strided(m.strided(m.conv(x))),
    "depthwise, multiplier 2": lambda m, x: m.depthwise(m.conv(x)),
    "dilation": lambda m, x: m.dilated(m.conv(x)),
    "a padding layer": lambda m, x: F.pad(m.conv(x), (1, 2, 0, 1)),
    "ReLU": lambda m, x: F.relu(m.conv(x)),
    "ReLU6": lambda m, x: F.relu6(m.conv(x)),
    "Hardtanh": lambda m, x: F.hardtanh(m.conv(x)),
    "any clamp": lambda m, x: m.other(m.conv(x).clamp(-0.3, 0.7)),
    "a clamp that stands alone": lambda m, x: F.relu(F.avg_pool2d(m.conv(x), 2)),
    "ReLU6 of the input": lambda m, x: m.conv(F.relu6(x)),
    "sum": lambda m, x: (lambda y: F.relu(y + m.other(y)))(m.conv(x)),
    "difference, clamped": lambda m, x: (lambda y: (y - m.other(y)).clamp(-0.2, 0.9))(m.conv(x)),
    "sums that broadcast": lambda m, x: (lambda y: y.amax((2, 3), keepdim=True) + y)(m.conv(x)),
    "product": lambda m, x: (lambda y: y * m.other(y))(m.conv(x)),
    "product with a gate": lambda m, x: (lambda y: y * torch.sigmoid(y.mean((2, 3), keepdim=True)))(m.conv(x)),
    "a mean with padding that counts": lambda m, x: F.avg_pool2d(m.conv(x), 3, 2, 1),
    "a mean with padding that does not": lambda m, x: F.avg_pool2d(m.conv(x), 3, 1, 1, count_include_pad=False),
    "a global mean": lambda m, x: m.conv(x).mean((2, 3)),
    "a maximum with padding": lambda m, x: F.max_pool2d(m.conv(x), 3, 2, 1),
    "a dilated maximum with padding": lambda m, x: F.max_pool2d(m.conv(x), (3, 2), (2, 1), 1, dilation=(1, 3)),
    "sigmoid": lambda m, x: torch.sigmoid(m.conv(x)),
    "tanh, clamped": lambda m, x: torch.tanh(m.conv(x)).clamp(-0.4, 0.6),
    "hard swish": lambda m, x: F.hardswish(m.conv(x)),
    "leaky ReLU": lambda m, x: F.leaky_relu(m.conv(x), 0.17),
    "SiLU": lambda m, x: F.silu(m.conv(x)),
    "concatenation": lambda m, x: (lambda y: torch.cat([y, m.other(y), torch.tanh(y)], 1))(m.conv(x)),
    "concatenation of rows, clamped": lambda m, x: F.relu(torch.cat([m.conv(x), m.other(m.conv(x))], 2)),
    "concatenation of vectors": lambda m, x: torch.cat([m.conv(x).flatten(1), m.conv(x).mean((2, 3))], 1),
    "flatten": lambda m, x: m.linear(m.conv(x).flatten(1)),
    "a flattened output": lambda m, x: m.conv(x).flatten(1),
    "vectors of maps in two orders": lambda m, x: m.conv(x).flatten(1) + m.conv(x).permute(0, 2, 3, 1).flatten(1),
    "half of a flattened map": lambda m, x: m.conv(x).flatten(1)[:, 3:90],
    "back from a vector": lambda m, x: m.other(m.conv(x).flatten(1).view(-1, 4, 6, 7)),
    "sequences": lambda m, x: m.line(m.conv(x).flatten(2)),
    "rows of sequences": lambda m, x: m.rows(m.conv(x).flatten(1, 2)),
    "sequences turned": lambda m, x: m.conv(x).flatten(2).transpose(1, 2),
    "maps turned": lambda m, x: m.conv(x).permute(0, 3, 1, 2),
    "slices": lambda m, x: m.conv(x)[:, 1:3, ::2, 2:],
    "selected channels": lambda m, x: m.conv(x).index_select(1, torch.tensor([2, 0, 3])),
    "a product of maps": lambda m, x: (lambda y: y @ m.other(y).transpose(2, 3))(m.conv(x)),
    "a product of sequences, clamped": lambda m, x: F.relu(m.conv(x).flatten(2).mT @ m.conv(x).flatten(2)),
    "a product with one head": lambda m, x: m.conv(x) @ m.conv(x)[:, :1].mT,
    "pixel shuffle": lambda m, x: F.pixel_shuffle(m.conv(x), 2),
    "pixel unshuffle": lambda m, x: F.pixel_unshuffle(m.conv(x)[:, :, :6, :6], 2),
    "a transposed convolution": lambda m, x: F.relu(m.up(m.conv(x))),
    "a transposed convolution of uneven strides": lambda m, x: m.up_unevenly(m.conv(x)),
    "a transposed depthwise convolution": lambda m, x: m.up_depthwise(m.conv(x)).clamp(-0.4, 0.5),
    "a transposed convolution of sequences": lambda m, x: m.up_line(m.conv(x).flatten(2)),
    "nearest pixels": lambda m, x: F.interpolate(m.conv(x), scale_factor=(2, 3)),
    "pixels in between": lambda m, x: F.interpolate(m.conv(x), scale_factor=2, mode="bilinear"),
    "the larger one": lambda m, x: (lambda y: torch.maximum(y, m.other(y)))(m.conv(x)),
    "the smaller one": lambda m, x: (lambda y: torch.minimum(y, m.other(y)))(m.conv(x)),
    "several results": lambda m, x: (lambda y: {"a": y, "b": [m.other(y), y], "c": x})(m.conv(x)),
    "a layer with the name of a result": lambda m, x: {"other": m.conv(x), "conv": m.other(m.conv(x))},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_codes(name: str, tmp_path: Path) -> None:
    model = qat.prepare(randomized(More(FUNCTIONS[name])), images(8), Arithmetic.tflm())
    x = images(6, 1) * 1.3
    assert_tflm_agrees(model, tmp_path, x)
    graph, arrays = load_model(tmp_path / "model.tflite", Arithmetic.tflm()), file_inputs(model, x)
    read = run_graph(graph, arrays)
    for output, expected in run_tflm(tmp_path / "model.tflite", arrays).items():
        assert_array_equal(read[output], expected, err_msg=output)


@pytest.mark.parametrize(
    "settings",
    [
        {"*": {"per_channel": False}},
        {"*": {"symmetric": True, "scale": "power_of_two"}},
        {"*": {"weight_bits": 4, "activation_bits": 5}},
        {"input": {"activation_bits": 6}, "conv": {"weight_bits": 2}},
    ],
)
def test_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    def function(m: Written, x: Tensor) -> Tensor:
        y = F.relu(m.conv(x))
        return m.linear(F.max_pool2d(y + m.other(y), 3, 1, 1).flatten(1))

    model = qat.prepare(randomized(More(function)), images(8), Arithmetic.tflm(), settings=settings)
    assert_tflm_agrees(model, tmp_path, images(6, 1))
