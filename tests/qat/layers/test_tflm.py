"""TFLM's operators in torch: averages of raw codes, its functions' tables, their gradients, and what stays unfused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic, AveragePool, LookupTable, RescaledAdd
from emulator.tflm import hard_swish_table, leaky_relu_table, logistic_table, tanh_table
from qat.integers.geometry import Window
from qat.integers.tensor import QuantizedTensor
from qat.layers.layer import Step
from qat.layers.raw_pool import RawAveragePool
from tests.emulator.strategies import vectors
from tests.qat.networks import Written, assert_equal_codes, assert_one_value, exported, images, layers, randomized

TFLM = Arithmetic.tflm()


def tensor(codes: Tensor, zero_point: int = 0, scale: float = 1.0) -> QuantizedTensor:
    centered = (codes - zero_point).float().requires_grad_()
    return QuantizedTensor(centered=centered, scale=torch.tensor(scale), zero_point=zero_point, y_min=-128, y_max=127)


def test_vectors_of_averages() -> None:
    cases = vectors("average_raw")
    assert len(cases) == 300
    for number, case in enumerate(cases):
        count = len(case["codes"])
        window = Window(kernel=(count, 1), strides=(1, 1))
        layer = RawAveragePool("pool", "input", arithmetic=TFLM, window=window)
        x = tensor(torch.tensor(case["codes"]).view(1, 1, count, 1), (number * 37) % 256 - 128)
        y = layer([x], Step(nn.Module()))
        assert min(max(int(y.codes), case["y_min"]), case["y_max"]) == case["y"], case
        (gradient,) = torch.autograd.grad(y.centered.sum(), x.centered)
        torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / count))


Function = Callable[[Written, Tensor], Tensor]
NETWORKS: dict[str, tuple[Function, list[str]]] = {
    "padding that does not count": (
        lambda m, x: F.avg_pool2d(m.conv(x), 3, 2, 1, count_include_pad=False),
        ["conv", "avg_pool2d"],
    ),
    "padding that counts": (lambda m, x: F.avg_pool2d(m.conv(x), 3, 2, 1), ["conv", "avg_pool2d.padded", "avg_pool2d"]),
    "of sequences": (
        lambda m, x: F.avg_pool1d(m.conv(x).flatten(2), 4, 3, 2),
        ["conv", "flatten", "avg_pool1d.padded", "avg_pool1d"],
    ),
    "global": (lambda m, x: F.relu(m.conv(x)).mean((2, 3)), ["conv", "mean", "mean_1"]),
    "an activation behind a mean": (lambda m, x: F.relu(F.avg_pool2d(m.conv(x), 2)), ["conv", "avg_pool2d", "relu"]),
    "sigmoid": (lambda m, x: torch.sigmoid(m.conv(x)), ["conv", "sigmoid"]),
    "sigmoid, clamped": (lambda m, x: torch.sigmoid(m.conv(x)).clamp(0.2, 0.7), ["conv", "sigmoid"]),
    "tanh": (lambda m, x: m.other(torch.tanh(m.conv(x))), ["conv", "tanh", "other"]),
    "hard swish": (lambda m, x: F.hardswish(m.conv(x)), ["conv", "hardswish"]),
    "leaky ReLU": (lambda m, x: F.leaky_relu(m.conv(x), 0.3), ["conv", "leaky_relu"]),
    "negative slope": (lambda m, x: F.relu(F.leaky_relu(m.conv(x), -0.4)), ["conv", "leaky_relu"]),
    "silu": (lambda m, x: F.silu(m.conv(x)), ["conv", "silu.gate", "silu"]),
    "silu written out": (
        lambda m, x: (lambda y: y * torch.sigmoid(y))(m.conv(x)),
        ["conv", "sigmoid", "mul"],
    ),
    "functions that TFLM has, in a chain": (
        lambda m, x: torch.tanh(F.hardswish(F.leaky_relu(m.conv(x)))),
        ["conv", "leaky_relu", "hardswish", "tanh"],
    ),
    "a function that TFLM has not": (lambda m, x: F.gelu(2 * m.conv(x)), ["conv", "gelu"]),
    "sum and difference": (
        lambda m, x: (lambda y: F.relu(y + m.other(y)) - y)(m.conv(x)),
        ["conv", "other", "add", "sub"],
    ),
    "difference that broadcasts": (
        lambda m, x: (lambda y: y.mean((2, 3), keepdim=True) - y)(m.conv(x)),
        ["conv", "mean", "sub"],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_codes_are_the_emulators(name: str, tmp_path: Path) -> None:
    function, expected = NETWORKS[name]
    prepared = qat.prepare(randomized(Written(function)), images(8), TFLM)
    assert layers(prepared) == expected
    assert_equal_codes(prepared, images(5, 1), tmp_path)
    assert_one_value(prepared, images(5, 1))
    prepared.train()(images(4)).square().mean().backward()
    weight = prepared.get_parameter("conv.weight")
    assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any()


def test_nodes_and_tables_of_the_exported_graph(tmp_path: Path) -> None:
    def function(m: Written, x: Tensor) -> Tensor:
        y = F.avg_pool2d(m.conv(x), 2)
        return torch.sigmoid(y) + torch.tanh(y) + F.hardswish(y) - F.leaky_relu(y, 0.3)

    graph = exported(qat.prepare(randomized(Written(function)), images(8), TFLM), tmp_path)
    nodes = {node.name: node for node in graph.nodes}
    pool = nodes["avg_pool2d"]
    assert isinstance(pool, AveragePool) and pool.raw
    assert [type(nodes[name]) for name in ("add", "add_1", "sub")] == [RescaledAdd] * 3
    x = pool.scale, pool.zero_point
    for name, table in (
        ("sigmoid", logistic_table(*x)),
        ("tanh", tanh_table(*x)),
        ("hardswish", hard_swish_table(*x, nodes["hardswish"].scale, nodes["hardswish"].zero_point)),
        ("leaky_relu", leaky_relu_table(*x, nodes["leaky_relu"].scale, nodes["leaky_relu"].zero_point, 0.3)),
    ):
        node = nodes[name]
        assert isinstance(node, LookupTable)
        np.testing.assert_array_equal(node.table, table, err_msg=name)
    assert (nodes["sigmoid"].scale, nodes["sigmoid"].zero_point) == (1 / 256, -128)
    assert (nodes["tanh"].scale, nodes["tanh"].zero_point) == (1 / 128, 0)


def test_another_arithmetic_s_pools_and_functions_stay_as_they_are() -> None:
    other = Arithmetic(accumulator_bits=24, multiplier_bits=31, rounding="double", adder="rescaled")
    function = NETWORKS["silu"][0]
    assert layers(qat.prepare(randomized(Written(function)), images(8), other)) == ["conv", "silu"]
    assert not other.is_tflm and TFLM.is_tflm


def test_a_window_that_is_too_large() -> None:
    window = Window(kernel=(5000, 5000), strides=(1, 1))
    layer = RawAveragePool("pool", "input", arithmetic=TFLM, window=window)
    with pytest.raises(ValueError, match=r"kernel must keep the sum in 32 bits, not be \(5000, 5000\)"):
        layer([tensor(torch.zeros(1, 1, 2, 2))], Step(nn.Module()))
