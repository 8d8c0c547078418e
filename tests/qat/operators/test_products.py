"""Products of two activations: torch gives the emulator's codes, and the accelerator runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from compiler import compile_graph, load_onnx
from emulator import AcceleratorConfig, Arithmetic, Machine, MatrixProduct, run_graph_counts
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


def inputs_and_attention(m: Heads, x: Tensor) -> Tensor:
    """A product of inputs, whose sums are large."""
    return (x @ x.mT / 9) @ attention(m, x)


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


class Packed(Heads):
    """Queries, keys and values out of one layer."""

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.packed = nn.Linear(8, 24)

    def groups(self, x: Tensor) -> Tensor:
        return self.packed(x).reshape(x.shape[0], x.shape[1], 3, 2, 4)


def mixed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return ((query @ key.mT * 0.5) @ value).transpose(1, 2).flatten(2)


PACKED: dict[str, Callable[[Packed, Tensor], Tensor]] = {
    "unbind": lambda m, x: mixed(*m.groups(x).permute(2, 0, 3, 1, 4).unbind(0)),
    "select": lambda m, x: (lambda y: mixed(y[0], y[1], y[2]))(m.groups(x).permute(2, 0, 3, 1, 4).contiguous()),
    "the batch first": lambda m, x: mixed(*m.groups(x).permute(0, 2, 3, 1, 4).unbind(1)),
    "heads in front": lambda m, x: mixed(*(y.transpose(1, 2) for y in m.groups(x).unbind(2))),
    "chunk": lambda m, x: mixed(*(y.view(-1, 5, 2, 4).transpose(1, 2) for y in m.packed(x).chunk(3, -1))),
}


@pytest.mark.parametrize("name", PACKED)
def test_queries_keys_and_values_out_of_one_layer(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, model = images(4, shape=(5, 8)), Packed(PACKED[name]).eval()
    made = qat.prepare(model, x)
    assert_equal_codes(made, x, tmp_path)
    torch.testing.assert_close(float_result(made, x), model(x).detach())
    graph, codes = load_onnx(tmp_path / "model.onnx"), qat.codes(made, x[:1])
    config = AcceleratorConfig(rows=4, columns=4, weight_zero_points=True)
    (output,) = Machine(config).run(compile_graph(graph, config), {"input": x[:1].numpy()}).outputs.values()
    np.testing.assert_array_equal(output, codes[layers(made)[-1]])


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
    assert len(np.unique(codes[products[0].name])) >= 20
    assert_one_value(model, x)
    torch.manual_seed(0)
    torch.testing.assert_close(float_result(model, x), Heads(FUNCTIONS[name])(x).detach())


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(
    ("bits", "rounding"), [*((16, rounding) for rounding in ROUNDINGS), *((bits, "half_even") for bits in (32, 20, 13))]
)
def test_every_arithmetic(bits: int, rounding: str, overflow: str, tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, rounding=rounding)
    model, x = prepared(inputs_and_attention, arithmetic)
    assert_equal_codes(model, 2 * x, tmp_path)
    assert_one_value(model, 2 * x)
    assert (qat.overflow_counts(model, 2 * x)["matmul"].sum() > 0) == (bits <= 16)


@pytest.mark.parametrize("arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=16, overflow="wrap")], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_machine_gives_the_same_codes(name: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    model, x = prepared(FUNCTIONS[name], arithmetic)
    graph, codes = exported(model, tmp_path), qat.codes(model, x[:1])
    config = AcceleratorConfig(rows=4, columns=4, arithmetic=arithmetic, weight_zero_points=True)
    made = Machine(config).run(compile_graph(graph, config), {"input": x[:1].numpy()}).outputs
    for output, layer in model.quantizers.results.layers.items():
        np.testing.assert_array_equal(made[output], codes[layer])


def test_overflows_are_counted(tmp_path: Path) -> None:
    """Of each column, and where ranges are recorded, as the emulator counts them."""
    model, x = prepared(inputs_and_attention, Arithmetic(accumulator_bits=14))
    qat.record_ranges(model, [x])
    graph = exported(model, tmp_path)
    _, expected = run_graph_counts(graph, {"input": x.numpy()})
    found = qat.overflow_counts(model, x)
    for name in ("matmul", "matmul_1", "matmul_2"):
        np.testing.assert_array_equal(found[name], expected[f"{name}/codes"].overflows)
    assert found["matmul"].sum() > 0
    assert qat.compare_ranges(graph, [{"input": x.numpy()}]).drifted == ()


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
        lambda m, x: (m.query(x) * 0.3).clamp(-0.2, 0.4) @ m.key(x).mT,
        lambda m, x: (lambda y: (y @ m.key(x).mT, y))(m.query(x) * 0.3),
    ],
)
def test_other_factors_are_functions(function: Function, tmp_path: Path) -> None:
    model, x = prepared(function)
    (product,) = (layer for layer in model.quantizers if isinstance(layer, Layer))
    assert product.factor == 1
    assert_equal_codes(model, x, tmp_path)


def test_gradients_are_those_of_floats_where_nothing_clips() -> None:
    """Of an input that its codes hold exactly, and that is half of what the ranges are made for."""
    model, x = prepared(lambda m, x: x[:, :2] @ x[:, 2:].mT * 0.3)
    given = model.quantizers.input(x / 2).real.detach().requires_grad_()
    direction = images(4, 1, shape=(2, 3))
    (found,) = torch.autograd.grad((model(given) * direction).sum(), given)
    (expected,) = torch.autograd.grad((given[:, :2] @ given[:, 2:].mT * 0.3 * direction).sum(), given)
    torch.testing.assert_close(found, expected)


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
    arithmetic = Arithmetic(weight_bits=4)
    message = r"layer 'matmul': the codes of its second operand, those of 'key', .* at most weight_bits = 4 bits, not 8"
    with pytest.raises(ValueError, match=message):
        prepared(lambda m, x: m.query(x) @ m.key(x).mT, arithmetic)


def test_a_second_operand_of_fewer_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Heads(lambda m, x: m.query(x) @ m.key(x).mT).eval(), images(4, shape=(5, 8))
    arithmetic = Arithmetic(weight_bits=4)
    made = qat.prepare(model, x, arithmetic, settings={"key": {"activation_bits": 4}})
    assert_equal_codes(made, x, tmp_path)
    made.quantizers.layers["key"].output.bits = 8
    with pytest.raises(ValueError, match=r"layer 'matmul': the codes of its second operand are weights, .* from -8 to"):
        made(x)
