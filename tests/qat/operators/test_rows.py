"""Softmax, layer norm, RMS norm and attention: torch gives the emulator's codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from emulator.graph import LayerNorm, RMSNorm, Softmax
from qat.layers.rows import Norm
from tests.qat.networks import assert_equal_codes, assert_one_value, exported, float_result, images

Function = Callable[["Rows", Tensor], Tensor]


class Rows(nn.Module):
    """A sequence (batch, 5, 8) through linear layers and what the function makes of them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.norm, self.plain = nn.LayerNorm(8), nn.LayerNorm(8, elementwise_affine=False, eps=1e-3)
        self.without_bias = nn.LayerNorm(8, bias=False)
        self.rms, self.plain_rms = nn.RMSNorm(8, eps=1e-6), nn.RMSNorm(8, elementwise_affine=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.log = nn.Parameter(torch.zeros(8))
        with torch.no_grad():
            for parameter in (self.norm.weight, self.norm.bias, self.rms.weight, self.without_bias.weight):
                parameter.uniform_(-2, 2)

    def heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], 2, 4).transpose(1, 2)

    def masked(self, x: Tensor, **mask: Any) -> Tensor:
        return F.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x), **mask)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def attended(m: Rows, x: Tensor) -> Tensor:
    parts = (m.heads(layer(x)) for layer in (m.query, m.key, m.value))
    return m.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(x.shape))


FUNCTIONS: dict[str, tuple[Function, dict[type, int]]] = {
    "layer norm": (lambda m, x: m.norm(m.query(x)), {LayerNorm: 1}),
    "layer norm, no parameters": (lambda m, x: m.plain(m.query(x)), {LayerNorm: 1}),
    "layer norm, no bias": (lambda m, x: m.without_bias(m.query(x)), {LayerNorm: 1}),
    "layer norm of an input": (lambda m, x: m.query(m.norm(x)), {LayerNorm: 1}),
    "layer norm of a vector": (lambda m, x: m.norm(m.query(x[:, 0])), {LayerNorm: 1}),
    "layer norm with computed parameters": (
        lambda m, x: F.layer_norm(m.query(x), (8,), m.log.exp(), m.log * 2),
        {LayerNorm: 1},
    ),
    "layer norm, ReLU behind": (lambda m, x: m.out(m.norm(m.query(x)).relu()), {LayerNorm: 1}),
    "RMS norm": (lambda m, x: m.rms(m.query(x)), {RMSNorm: 1}),
    "RMS norm, no parameters": (lambda m, x: m.plain_rms(m.query(x)), {RMSNorm: 1}),
    "softmax": (lambda m, x: torch.softmax(m.query(x), -1), {Softmax: 1}),
    "softmax of a vector": (lambda m, x: F.softmax(m.query(x[:, 0]), dim=1), {Softmax: 1}),
    "softmax between": (lambda m, x: m.out(m.query(x).softmax(2)), {Softmax: 1}),
    "attention": (attended, {Softmax: 1}),
    "attention of one head": (
        lambda m, x: F.scaled_dot_product_attention(m.query(x), m.key(x), m.value(x), scale=0.3),
        {Softmax: 1},
    ),
    "attention by hand": (
        lambda m, x: (m.query(x) @ m.key(x).mT / 8**0.5).softmax(-1) @ m.value(x),
        {Softmax: 1},
    ),
    "a module": (lambda m, x: m.attention(m.query(x), m.key(x), m.value(x), need_weights=False)[0], {Softmax: 1}),
    "a module of itself": (lambda m, x: m.attention(x, x, x)[0], {Softmax: 1}),
    "an encoder layer": (lambda m, x: m.encoder(x), {Softmax: 1, LayerNorm: 2}),
    "causal": (lambda m, x: m.masked(x, is_causal=True), {Softmax: 1}),
    "causal by a mask": (lambda m, x: m.masked(x, attn_mask=torch.ones(5, 5).tril() > 0), {Softmax: 1}),
    "a mask that is added": (
        lambda m, x: m.masked(x, attn_mask=torch.full((1, 5, 5), -torch.inf).triu(1)),
        {Softmax: 1},
    ),
    "two hidden keys": (lambda m, x: m.masked(x, attn_mask=torch.arange(5).view(1, 5) < 3), {Softmax: 1}),
    "a block": (
        lambda m, x: m.out(m.rms((lambda y: y + attended(m, m.norm(y)))(m.query(x)))),
        {Softmax: 1, LayerNorm: 1, RMSNorm: 1},
    ),
}


def prepared(name: str, arithmetic: Arithmetic | None = None) -> tuple[qat.PreparedModel, Tensor]:
    torch.manual_seed(0)
    x = images(4, shape=(5, 8))
    return qat.prepare(Rows(FUNCTIONS[name][0]).eval(), x, arithmetic or Arithmetic()), x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_emulator_gives_the_same_codes(name: str, tmp_path: Path) -> None:
    model, x = prepared(name)
    nodes = exported(model, tmp_path).nodes
    for kind in (Softmax, LayerNorm, RMSNorm):
        assert sum(isinstance(node, kind) for node in nodes) == FUNCTIONS[name][1].get(kind, 0)
    assert_equal_codes(model, x, tmp_path)
    assert_one_value(model, x)
    torch.manual_seed(0)
    torch.testing.assert_close(
        float_result(model, x), Rows(FUNCTIONS[name][0]).eval()(x).detach(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("bits", [8, 16, 24, 31])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_and_multiplier(rounding: str, bits: int, tmp_path: Path) -> None:
    model, x = prepared("a block", Arithmetic(rounding=rounding, multiplier_bits=bits))
    assert_equal_codes(model, 2 * x, tmp_path)


def test_narrow_accumulators(tmp_path: Path) -> None:
    for bits in (20, 13):
        model, x = prepared("a block", Arithmetic(accumulator_bits=bits, overflow="saturate"))
        assert_equal_codes(model, x, tmp_path)


@pytest.mark.parametrize(("name", "most"), [("layer norm", 0.6), ("RMS norm", 0.6), ("softmax", 0.51)])
def test_codes_are_near_the_real_functions(name: str, most: float, tmp_path: Path) -> None:
    model, x = prepared(name)
    codes = assert_equal_codes(model, x, tmp_path)
    *_, source, layer = model.quantizers
    tensors = {tensor.name: tensor for tensor in exported(model, tmp_path).nodes}
    given, made = tensors[source.name], tensors[layer.name]
    values = (codes[source.name].astype(np.float64) - given.zero_point) * given.scale
    real = layer.real([torch.from_numpy(values)], model).detach().numpy() / made.scale + made.zero_point
    assert np.abs(codes[layer.name] - np.clip(real, -128, 127)).max() <= most


@pytest.mark.parametrize("name", ["layer norm", "RMS norm", "softmax"])
def test_gradients_are_those_of_the_real_function_of_the_dequantized_codes(name: str) -> None:
    torch.manual_seed(0)
    kind = {"layer norm": nn.LayerNorm, "RMS norm": nn.RMSNorm}.get(name)
    real = nn.Sequential(nn.Softmax(-1) if kind is None else kind(8)).eval()
    x, weights = images(4, shape=(5, 8)), torch.randn(4, 5, 8)
    model = qat.prepare(real, x, Arithmetic()).eval()
    quantized = model.quantizers.inputs["input"](x).real.detach().requires_grad_()
    given = quantized.detach().clone().requires_grad_()
    free, y = real(quantized), model(given)
    weights[(y - free).abs() > 0.6 * y.detach().unique().diff().min()] = 0  # they clip
    assert (weights == 0).sum() < 5
    for result in (free, y):
        (result * weights).sum().backward()
    assert quantized.grad is not None and given.grad is not None
    torch.testing.assert_close(given.grad, quantized.grad, rtol=1e-3, atol=1e-4)
    found = dict(model.named_parameters())
    for key, parameter in real.named_parameters():
        torch.testing.assert_close(found[key].grad, parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["attention", "a block"])
def test_gradients_point_where_those_of_floats_do(name: str) -> None:
    model, x = prepared(name)
    torch.manual_seed(0)
    real = Rows(FUNCTIONS[name][0])
    weights = torch.randn(real(x).shape, generator=torch.Generator().manual_seed(1))
    model.train()
    for net in (model, real):
        (net(x) * weights).sum().backward()
    found, compared = dict(model.named_parameters()), 0
    for key, parameter in real.named_parameters():
        if parameter.grad is not None and parameter.grad.norm() > 1e-3:
            gradient = found[key].grad
            assert gradient is not None
            assert F.cosine_similarity(gradient.flatten(), parameter.grad.flatten(), dim=0) > 0.8, key
            compared += 1
    assert compared >= 4


def test_training_moves_gamma_and_keeps_codes_equal(tmp_path: Path) -> None:
    model, x = prepared("layer norm")
    before = model.norm.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    model.train()
    for _ in range(5):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    assert not torch.equal(before, model.norm.weight)
    assert_equal_codes(model.eval(), x, tmp_path)


def test_a_constant_row_gives_beta_and_no_gradient_that_is_no_number() -> None:
    torch.manual_seed(0)
    model = qat.prepare(nn.Sequential(nn.LayerNorm(8, eps=0.0)).eval(), images(4, shape=(5, 8)), Arithmetic()).train()
    x = torch.zeros(2, 5, 8, requires_grad=True)
    y = model(x)
    y.sum().backward()
    assert (y == 0).all()
    assert x.grad is not None and x.grad.isfinite().all()


REFUSED: dict[str, tuple[Function, str]] = {
    "axis": (lambda m, x: m.query(x).softmax(1), "along the last axis"),
    "axes": (lambda m, x: F.layer_norm(m.query(x), (5, 8)), "the last axis of 8"),
    "a mask of numbers": (lambda m, x: m.masked(x, attn_mask=torch.arange(5.0).view(1, 5)), "0 and −infinity"),
    "a mask of an argument": (lambda m, x: m.masked(x, attn_mask=x[:, :, :5] > 0), "must be constant"),
    "a hidden row": (lambda m, x: m.masked(x, attn_mask=torch.arange(5).view(5, 1) > 0), "at least one key"),
    "dropout": (
        lambda m, x: m.masked(x, dropout_p=0.5),
        "its dropout",
    ),
    "scale": (
        lambda m, x: m.masked(x, scale=-1.0),
        "positive number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    function, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        qat.prepare(Rows(function).eval(), images(2, shape=(5, 8)), Arithmetic())


def test_a_row_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="1 to 4096 elements, not 4097"):
        qat.prepare(nn.Sequential(nn.LayerNorm(4097)).eval(), torch.randn(2, 4097), Arithmetic())


def test_epsilon_is_the_files_float32() -> None:
    model, _ = prepared("RMS norm")
    (layer,) = (layer for layer in model.quantizers if isinstance(layer, Norm))
    assert layer.epsilon == float(np.float32(1e-6)) != 1e-6
