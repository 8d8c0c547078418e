"""Every supported operator: its layers, and the codes of all of them equal to the emulator's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import Written, assert_equal_codes, assert_one_value, images, layers, randomized


def _residual(x: Tensor, layer: nn.Module) -> Tensor:
    y = layer(F.relu(x))
    y += x
    return F.relu_(y)


def _in_place(x: Tensor) -> Tensor:
    x.relu_()
    return F.max_pool2d(x, 2, ceil_mode=False)


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
    "a ReLU6 behind a dropout": (
        lambda m, x: F.relu6(F.dropout(m.conv(x), 0.5, m.training)),
        ["conv", "dropout", "relu6"],
    ),
    "a ReLU behind a dropout": (lambda m, x: F.relu(F.dropout(m.conv(x), 0.5, m.training)), ["conv", "dropout"]),
    "a ReLU6 beside a reader": (
        lambda m, x: (lambda y: F.relu6(y) + y)(torch.tanh(m.conv(x))),
        ["conv", "tanh", "relu6", "add"],
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
    "rows of a map": (lambda m, x: m.rows(m.conv(x)), ["conv", "rows", "rows_1", "rows_2"]),
    "rows of a sequence": (lambda m, x: F.relu(m.rows(m.conv(x).flatten(1, 2))), ["conv", "flatten", "rows"]),
    "a linear layer behind a sequence": (
        lambda m, x: m.linear(m.conv(x).flatten(2).flatten(1)),
        ["conv", "flatten", "flatten_1", "linear"],
    ),
    "a flattened result": (lambda m, x: F.dropout(m.conv(x).view(-1, 168), 0.5, m.training).clamp(min=0.1), None),
    "a flattened input as the result": (lambda m, x: x.flatten(1), ["flatten"]),
    "flattened maps joined": (lambda m, x: torch.cat([m.conv(x).flatten(1), x.flatten(1)], 1), None),
    "flattened maps of two shapes": (lambda m, x: x.flatten(1) + x.view(-1, 6, 7, 3).flatten(1), None),
    "flattened maps of one shape": (lambda m, x: m.linear(m.conv(x).flatten(1) * m.conv(x).sigmoid().flatten(1)), None),
    "a vector as a map": (lambda m, x: m.one(m.conv(x).view(-1, 168, 1, 1)), ["conv", "view", "one"]),
    "other maps": (lambda m, x: m.conv(x).view(-1, 2, 84).transpose(1, 2), ["conv", "view", "transpose"]),
    "channels last": (lambda m, x: m.rows(m.conv(x).permute(0, 2, 3, 1).transpose(-1, -2)).transpose(3, 1), None),
    "a mean over channels": (lambda m, x: m.conv(x).mean(1), ["conv", "mean", "mean_1", "mean_2"]),
    "a mean over rows": (lambda m, x: m.conv(x).mean(2, keepdim=True), ["conv", "mean"]),
    "a scaled map": (
        lambda m, x: m.conv(x) * torch.sigmoid(m.conv(x).mean((2, 3), keepdim=True)),
        ["conv", "conv_1", "mean", "sigmoid", "mul"],
    ),
    "a residual": (lambda m, x: F.relu(m.other(F.relu(m.conv(x))) + m.conv(x)), ["conv", "other", "conv_1", "add"]),
    "a residual in place": (lambda m, x: _residual(m.conv(x), m.other), ["conv", "relu", "other", "add_"]),
    "differences": (lambda m, x: F.relu6((m.conv(x) - m.other(m.conv(x))) * m.conv(x)), None),
    "a tensor and itself": (
        lambda m, x: m.conv(x).square() + m.conv(x) ** 2,
        ["conv", "square", "conv_1", "pow_1", "add"],
    ),
    "padding in front": (lambda m, x: m.other(F.pad(m.conv(x), (1, 2, 0, 3))), ["conv", "other"]),
    "padding of a pool": (
        lambda m, x: F.relu(F.max_pool2d(F.pad(m.conv(x), (1, 2, 0, 1)), 2)),
        ["conv", "pad", "max_pool2d"],
    ),
    "padding and cutting": (lambda m, x: F.pad(m.conv(x), (-1, 2, 1, -3)), ["conv", "pad", "pad_1", "pad_2"]),
    "parts": (
        lambda m, x: m.other(torch.cat(m.conv(x).chunk(2, 1)[::-1], 1)),
        ["conv", "chunk", "chunk_1", "cat", "other"],
    ),
    "a part of the parts": (lambda m, x: m.conv(x).split([1, 3], 1)[1], None),
    "slices": (lambda m, x: m.conv(x)[:, ::2, 1:5, :-1], None),
    "one row": (lambda m, x: m.conv(x)[:, :, -1], ["conv", "select", "select_1"]),
    "a part of a flattened map": (lambda m, x: m.conv(x).flatten(1)[:, 5:60].narrow(1, 2, 9), None),
    "rows apart and together": (lambda m, x: torch.stack(m.conv(x).mean(3).unbind(2), 1), None),
    "joined and clamped": (lambda m, x: torch.cat([m.conv(x), x, F.relu(m.conv(x))], 1).clamp(-0.1, 0.2), None),
    "nobody reads it": (lambda m, x: (m.other(m.conv(x)), m.conv(x))[1], ["conv_1"]),
    "squeeze": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 1).squeeze(-1).squeeze(-1), None),
}


@pytest.mark.parametrize("bits", [8, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, bits: int, tmp_path: Path) -> None:
    function, expected = VARIANTS[name]
    arithmetic = Arithmetic(accumulator_bits=14, activation_bits=bits)
    prepared = qat.prepare(randomized(Written(function)), images(3), arithmetic)
    if expected is not None:
        assert layers(prepared) == expected
    assert_equal_codes(prepared, images(5, 1), tmp_path)


def _by_hand(x: Tensor) -> Tensor:
    return x * F.relu6(x + 3) / 6


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu, "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "elu": lambda x: F.elu(x, 0.7),
    "selu": F.selu, "celu": lambda x: F.celu(x, 0.6), "leaky_relu": lambda x: F.leaky_relu(x, 0.1), "mish": F.mish,
    "softplus": F.softplus, "softplus, steeper": lambda x: F.softplus(x, 2.0), "softsign": F.softsign,
    "logsigmoid": F.logsigmoid, "exp": torch.exp, "expm1": torch.expm1, "neg": torch.neg, "abs": torch.abs,
    "sqrt": lambda x: F.relu(x).sqrt(), "rsqrt": lambda x: (x * x + 1).rsqrt(), "log1p": lambda x: F.relu(x).log1p(),
    "log": lambda x: (x.abs() + 0.5).log(), "sin": torch.sin, "cos": torch.cos, "atan": torch.atan, "erf": torch.erf,
    "floor": lambda x: (2 * x).floor(), "ceil": torch.ceil, "reciprocal": lambda x: (x.sigmoid() + 1).reciprocal(),
    "silu by hand": lambda x: x * torch.sigmoid(x), "hardswish by hand": _by_hand, "plus": lambda x: x + 3,
    "less": lambda x: x - 0.1, "less from": lambda x: 3 - x, "times": lambda x: -0.3 * x, "over": lambda x: x / 6,
    "over it": lambda x: 1 / (2 + torch.tanh(x)), "two": lambda x: torch.sigmoid(x) * torch.tanh(x),
    "one twice": lambda x: torch.tanh(x) * torch.tanh(x), "clamped": lambda x: torch.tanh(x).clamp(-0.5, 0.25),
    "of a clamp": lambda x: F.relu6(torch.exp(x)).neg(),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_one_table(name: str, tmp_path: Path) -> None:
    function = FUNCTIONS[name]
    model = randomized(Written(lambda m, x: m.other(function(m.conv(x)))))
    for arithmetic in (Arithmetic(), Arithmetic(activation_bits=5, rounding="floor")):
        prepared = qat.prepare(model, images(8), arithmetic)
        assert len(layers(prepared)) == (4 if name == "rsqrt" else 3)
        assert_equal_codes(prepared, images(5, 1), tmp_path)
        assert_one_value(prepared, images(5, 1))
    wide = qat.prepare(model, images(8))
    x = images(8)
    error = (wide(x) - model(x)).abs().mean() / (model(x).std() + 1e-6)
    assert error < 0.1
    gradients = []
    for m in (model, wide):
        weight = m.get_parameter("conv.weight")
        (gradient,) = torch.autograd.grad((m(x) * images(8, 7, (4, 7, 6))).sum(), weight)
        gradients.append(gradient)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    # The root's slope is infinite at 0, and steps have none at all.
    if name not in ("sqrt", "floor", "ceil"):
        assert torch.cosine_similarity(*(g.flatten() for g in gradients), dim=0) > 0.95


class Sequence(nn.Module):
    """Sequences through everything that takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(3, 6, 3, padding="same"), nn.BatchNorm1d(6)
        self.second = nn.Conv1d(6, 6, 3, stride=2, padding=1, dilation=2, groups=2)
        self.depthwise = nn.Conv1d(6, 6, 2, groups=6)
        self.rows, self.head = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(F.relu(self.norm(self.first(x))), 2, padding=1)
        x = self.depthwise(self.second(F.pad(x, (4, 0))))
        x = F.avg_pool1d(x, 2, 1, padding=1, count_include_pad=False)[:, :, :-1] + x
        x = F.adaptive_avg_pool1d(x, x.shape[2] // 2) - F.adaptive_max_pool1d(x, x.shape[2] // 2)
        x = F.relu(self.rows(x.transpose(1, 2)))
        return self.head(x).mean(1)


@pytest.mark.parametrize("bits", [32, 13])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_sequences(bits: int, overflow: str, tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow)
    x = images(9, shape=(3, 23))
    prepared = qat.prepare(randomized(Sequence()), x, arithmetic)
    assert_equal_codes(prepared, x, tmp_path)
    assert_one_value(prepared, x)
    overflows = qat.overflow_counts(prepared, x)
    assert set(overflows) == {"first", "second", "depthwise", "rows", "head"}
    assert (sum(int(counts.sum()) for counts in overflows.values()) > 0) == (bits == 13)
