"""Products of two activations: torch gives the emulator's codes, and the accelerator runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine, MatrixProduct
from emulator.arithmetic import OVERFLOWS, ROUNDINGS
from qat.layers.matrix_product import MatrixProduct as Layer
from tests.qat.networks import assert_equal_codes, assert_one_value, exported, float_result, images, layers

Function = Callable[["Heads", Tensor], Tensor]


class Heads(nn.Module):
    """Queries, keys and values of a sequence (batch, 5, 8) as two heads of 4, and what the function makes of them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def heads(self, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x).view(x.shape[0], x.shape[1], 2, 4).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def attention(m: Heads, x: Tensor) -> Tensor:
    """Without its softmax."""
    query, key, value = (m.heads(layer, x) for layer in (m.query, m.key, m.value))
    mixed = (query @ key.transpose(-2, -1) / 2).clamp(0, 1) @ value
    return m.out(mixed.transpose(1, 2).reshape(x.shape))


FUNCTIONS: dict[str, Function] = {
    "attention": attention,
    "bmm": lambda m, x: torch.bmm(m.query(x), m.key(x).transpose(1, 2)),
    "the first transposed": lambda m, x: m.query(x).mT @ m.key(x),
    "permuted": lambda m, x: torch.matmul(m.heads(m.query, x), m.heads(m.key, x).permute(0, 1, 3, 2)),
    "one head for all": lambda m, x: m.heads(m.query, x) @ m.key(x).view(-1, 1, 10, 4).transpose(-2, -1),
    "a square": lambda m, x: (lambda y: y @ y.mT)(m.query(x)),
    "ReLU behind": lambda m, x: (m.query(x) @ m.key(x).mT).relu(),
    "inputs": lambda m, x: x @ x.transpose(1, 2),
    "one row": lambda m, x: m.query(x)[:, :1] @ m.key(x).mT,
}


def prepared(function: Function, arithmetic: Arithmetic | None = None) -> tuple[qat.PreparedModel, Tensor]:
    torch.manual_seed(0)
    x = images(4, shape=(5, 8))
    return qat.prepare(Heads(function).eval(), x, arithmetic or Arithmetic()), x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_emulator_gives_the_same_codes(name: str, tmp_path: Path) -> None:
    model, x = prepared(FUNCTIONS[name])
    products = [layer for layer in model.quantizers if isinstance(layer, Layer)]
    nodes = [node for node in exported(model, tmp_path).nodes if isinstance(node, MatrixProduct)]
    assert len(products) == len(nodes) == (2 if name == "attention" else 1)
    codes = assert_equal_codes(model, x, tmp_path)
    assert len(np.unique(codes[products[0].name])) > 20
    assert_one_value(model, x)
    torch.manual_seed(0)
    torch.testing.assert_close(float_result(model, x), Heads(FUNCTIONS[name])(x).detach())


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(
    ("bits", "rounding"), [*((16, rounding) for rounding in ROUNDINGS), *((bits, "half_even") for bits in (32, 20, 13))]
)
def test_every_arithmetic(bits: int, rounding: str, overflow: str, tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, rounding=rounding)
    model, x = prepared(attention, arithmetic)
    assert_equal_codes(model, 2 * x, tmp_path)
    assert_one_value(model, x)


@pytest.mark.parametrize("arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=16, overflow="wrap")], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_machine_gives_the_same_codes(name: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    model, x = prepared(FUNCTIONS[name], arithmetic)
    graph, codes = exported(model, tmp_path), qat.codes(model, x[:1])
    config = AcceleratorConfig(rows=4, columns=4, arithmetic=arithmetic, weight_zero_points=True)
    made = Machine(config).run(compile_graph(graph, config), {"input": x[:1].numpy()}).outputs
    for output, layer in model.quantizers.results.layers.items():
        np.testing.assert_array_equal(made[output], codes[layer])


FACTORS: dict[str, Function] = {
    "behind": lambda m, x: (m.query(x) @ m.key(x).mT * 0.3).relu(),
    "a divisor behind": lambda m, x: (m.query(x) @ m.key(x).mT) / 3,
    "in front": lambda m, x: (m.query(x) * 0.3) @ (0.7 * m.key(x)).mT,
    "in front of a move": lambda m, x: (m.query(x) / 8**0.5).view(-1, 5, 2, 4).transpose(1, 2) @ m.heads(m.key, x).mT,
}


@pytest.mark.parametrize("name", FACTORS)
def test_positive_factors_are_part_of_the_multiplier(name: str, tmp_path: Path) -> None:
    model, x = prepared(FACTORS[name])
    assert not any(layer.startswith(("mul", "div")) for layer in layers(model))
    assert_equal_codes(model, x, tmp_path)
    torch.manual_seed(0)
    torch.testing.assert_close(float_result(model, x), Heads(FACTORS[name])(x).detach())


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: (m.query(x) @ m.key(x).mT) * -0.3,
        lambda m, x: (m.query(x) @ m.key(x).mT).relu() * 0.3,
        lambda m, x: (lambda y: y * 0.3 + y)(m.query(x) @ m.key(x).mT),
        lambda m, x: 0.3 / (m.query(x) @ m.key(x).mT + 9),
        lambda m, x: (lambda y: y @ y.mT)(m.query(x) * 0.3),
    ],
)
def test_other_factors_are_functions(function: Function, tmp_path: Path) -> None:
    model, x = prepared(function)
    (product,) = (layer for layer in model.quantizers if isinstance(layer, Layer))
    assert product.factor == 1
    assert_equal_codes(model, x, tmp_path)


def test_gradients_are_those_of_floats_where_nothing_clips() -> None:
    model, x = prepared(lambda m, x: m.query(x) @ m.key(x).mT)
    wanted = {name: p for name, p in model.named_parameters() if name.startswith(("query", "key"))}
    direction = images(4, 1, shape=(5, 5))
    (model(x) * direction).sum().backward()
    torch.manual_seed(0)
    floats = Heads(lambda m, x: m.query(x) @ m.key(x).mT)
    (floats(x) * direction).sum().backward()
    assert len(wanted) == 4
    for name, parameter in wanted.items():
        expected = floats.get_parameter(name).grad
        assert parameter.grad is not None and expected is not None
        # The operands are rounded, to 8 bits each.
        torch.testing.assert_close(parameter.grad, expected, rtol=0, atol=0.03 * expected.abs().max().item())


REFUSED: dict[str, tuple[Function, str]] = {
    "a constant": (
        lambda m, x: x @ m.query.weight,
        r"node 'matmul' .*: its operands must both be activations, .*: use nn.Linear or F.linear with that",
    ),
    "more axes in one": (
        lambda m, x: m.query(x) @ m.heads(m.key, x).mT.reshape(-1, 1, 8, 5),
        r"node 'matmul' .*: its operands must both have the batch first and equally many axes",
    ),
    "einsum": (
        lambda m, x: torch.einsum("bik,bjk->bij", m.query(x), m.key(x)),
        "node 'einsum' .*: this operator is not supported: only matmul and bmm multiply two activations",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        prepared(function)


def test_codes_that_are_no_weights() -> None:
    message = r"layer 'matmul': the codes of its second operand, 'transpose', are weights, .* from -8 to 7 .*: take an"
    with pytest.raises(ValueError, match=message):
        prepared(lambda m, x: m.query(x) @ m.key(x).mT, Arithmetic(weight_bits=4))
