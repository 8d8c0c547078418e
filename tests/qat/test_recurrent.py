"""Whole recurrent modules, unrolled over the steps of the example."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

import qat
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine, run_graph
from tests.qat.networks import assert_equal_codes, assert_one_value, exported, float_result, images, layers
from tests.qat.networks.sequences import Tagger, Translator

STEPS = (3, 5)


class Wrapped(nn.Module):
    """A recurrent module of 5 inputs, and what a function makes of it and of a tensor (batch, steps, 5)."""

    def __init__(self, module: nn.Module, function: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.module, self.function = module, function
        self.other = nn.LSTM(7, 7)

    def forward(self, x: Tensor) -> Any:
        return self.function(self.module, x)


VARIANTS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], Any]]] = {
    "all results": (
        lambda: nn.LSTM(5, 7, batch_first=True),
        lambda m, x: [m(x)[0], *(state.transpose(0, 1) for state in m(x)[1])],
    ),
    "steps first": (lambda: nn.GRU(5, 7, 2, dropout=0.1), lambda m, x: m(x.permute(1, 0, 2))[0].permute(1, 2, 0)),
    "both ways": (
        lambda: nn.RNN(5, 7, 2, bidirectional=True, batch_first=True),
        lambda m, x: (m(x)[0], m(x)[1].transpose(0, 1).flatten(1)),
    ),
    "projected": (lambda: nn.LSTM(5, 7, proj_size=3, batch_first=True), lambda m, x: (m(x)[0], m(x)[1][1].squeeze(0))),
    "without biases": (lambda: nn.GRU(5, 7, bias=False, batch_first=True), lambda m, x: m(x)[0][:, 1:]),
    "some steps": (lambda: nn.RNN(5, 7), lambda m, x: [m(x.transpose(0, 1)[1:])[0][i] for i in (0, -1)]),
    "step by step": (
        lambda: nn.GRU(5, 7),
        lambda m, x: torch.cat([y.relu() for y in m(x.transpose(0, 1))[0].unbind(0)], 1),
    ),
    "one step": (lambda: nn.LSTM(5, 7), lambda m, x: m(x[:, 0].unsqueeze(0))[0].squeeze(0)),
    "channels are steps": (lambda: nn.RNN(3, 7), lambda m, x: m(x.permute(2, 0, 1))[1][0]),
    "a start of ones": (
        lambda: nn.GRU(5, 7, 2, batch_first=True),
        lambda m, x: m(x, torch.ones(2, x.shape[0], 7))[1][-1],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    "arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=12, activation_bits=7)], ids=["default", "narrow"]
)
@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, function = VARIANTS[name]
    model = Wrapped(make(), function).eval()
    x = images(16, shape=STEPS)
    prepared = qat.prepare(model, x[:1], arithmetic)
    qat.calibrate(prepared, [x])
    assert {n for n in prepared.state_dict() if not n.startswith("quantizers.")} == set(model.state_dict())
    assert_equal_codes(prepared, x[:4], tmp_path)
    assert_one_value(prepared, x)
    with torch.no_grad():
        torch.testing.assert_close(float_result(prepared, x), model(x), rtol=1e-4, atol=1e-5)


def test_the_narrow_arithmetic_overflows() -> None:
    torch.manual_seed(0)
    x = images(16, shape=STEPS)
    prepared = qat.prepare(Tagger().eval(), x, Arithmetic(accumulator_bits=12, activation_bits=7))
    assert sum(int(counts.sum()) for counts in qat.overflow_counts(prepared, x).values()) > 100


def test_all_steps_have_one_set_of_weights(tmp_path: Path) -> None:
    prepared = qat.prepare(Tagger().eval(), images(4, shape=STEPS))
    by_parameter: dict[str, set[int]] = {}
    for layer in prepared.quantizers:
        if hasattr(layer, "weight_name"):
            by_parameter.setdefault(layer.weight_name, set()).add(id(layer.weight))
    assert len(by_parameter) == 8 + 2 and all(len(found) == 1 for found in by_parameter.values())
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    used = [node.input[1] for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Gemm"]
    assert len(used) == 8 * 3 + 1 and len(set(used)) == 8 + 1
    rules = {"lstm.l1_reverse.*": {"weight_bits": 4}}
    prepared = qat.prepare(Tagger().eval(), images(4, shape=STEPS), settings=rules)
    bits = {layer.weight_name: layer.weight.bits for layer in prepared.quantizers if hasattr(layer, "weight_name")}
    assert [name for name, width in bits.items() if width == 4] == [
        "lstm.weight_ih_l1_reverse",
        "lstm.weight_hh_l1_reverse",
    ]


def test_what_nobody_reads_is_not_there() -> None:
    model = Wrapped(nn.LSTM(5, 7, batch_first=True), lambda m, x: m(x)[0][:, -1])
    prepared = qat.prepare(model, images(2, shape=STEPS))
    assert not any(type(layer).__name__ == "Concat" for layer in prepared.quantizers)
    assert list(prepared.quantizers.results.layers.values()) == ["module.l0.h_2"]
    assert list(prepared.quantizers.host.names) == ["input", "module.h_0", "module.c_0"]


def test_a_state_goes_from_module_to_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, y = images(16, shape=STEPS), images(16, seed=1, shape=(2, 3))
    model = Translator().eval()
    prepared = qat.prepare(model, (x[:1], y[:1]), Arithmetic(accumulator_bits=14))
    qat.calibrate(prepared, [(x, y)])
    assert "decoder.h_0" not in prepared.quantizers.host.names
    assert_equal_codes(prepared, x[:4], y[:4], tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(float_result(prepared, x, y), model(x, y), rtol=1e-4, atol=1e-5)


def test_the_accelerator_runs_a_recurrent_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arithmetic = Arithmetic(accumulator_bits=14)
    x = images(8, shape=STEPS)
    prepared = qat.prepare(Tagger().eval(), x, arithmetic)
    graph, config = exported(prepared, tmp_path), AcceleratorConfig(arithmetic=arithmetic)
    given = qat.host_inputs(prepared, x[:1])
    expected, machine = run_graph(graph, given), Machine(config).run(compile_graph(graph, config), given)
    assert list(machine.outputs) == ["output_0", "output_1"]
    for name, codes in expected.items():
        assert (machine.outputs[name] == codes).all()


def test_dropout_between_layers_acts_in_training() -> None:
    torch.manual_seed(0)
    model = Wrapped(nn.GRU(5, 7, 2, dropout=0.5, batch_first=True), lambda m, x: m(x)[0])
    x = images(4, shape=STEPS)
    prepared = qat.prepare(model.eval(), x)
    assert [name for name in layers(prepared) if "dropout" in name] == [
        f"module.l0.dropout{i}" for i in ("", "_1", "_2")
    ]
    other = copy.deepcopy(prepared).train()
    assert not torch.equal(other(x), other(x))
    other.module.eval()
    assert torch.equal(other(x), prepared(x))


REFUSED: dict[str, tuple[Callable[[nn.Module, Tensor], Any], str]] = {
    "computed with": (lambda m, x: m(x.transpose(0, 1))[0].relu(), "node 'relu' .*: a tensor with the batch on its s"),
    "joined": (lambda m, x: torch.cat([m(x.transpose(0, 1))[0]] * 2, 2), "node 'cat' .*: all sizes but the batch's"),
    "returned": (lambda m, x: m(x.transpose(0, 1))[1], "a tensor with the batch on its second axis can only be"),
    "cut elsewhere": (lambda m, x: m(x.transpose(0, 1))[0][:, :, 1:], "node 'slice_.*' .*: a tensor with the batch on"),
    "a start of one layer": (
        lambda m, x: m(x.transpose(0, 1), x.new_ones(x.shape[0], 7).sigmoid().view(1, -1, 7))[0][0],
        "node 'view' .*: all sizes but the batch's must be constant",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as error:
        qat.prepare(Wrapped(nn.GRU(5, 7), function), images(2, shape=STEPS))
    assert "test_recurrent.py, line" in str(error.value) or name == "returned"


def test_packed_sequences_are_refused() -> None:
    def packed(m: nn.Module, x: Tensor) -> Tensor:
        lengths = torch.full((x.shape[0],), 3)
        return m(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[1]

    with pytest.raises(ValueError, match=r"model must be traceable by torch\.export"):
        qat.prepare(Wrapped(nn.GRU(5, 7), packed), images(2, shape=STEPS))


def test_a_module_whose_result_nobody_reads_leaves_no_input(tmp_path: Path) -> None:
    model = Wrapped(nn.GRU(5, 7, batch_first=True), lambda m, x: (m(x), x.relu())[1])
    prepared = qat.prepare(model, images(2, shape=STEPS))
    assert list(prepared.quantizers.host.names) == ["input"]
    assert_equal_codes(prepared, images(4, shape=STEPS), tmp_path)
    model = Wrapped(nn.LSTM(5, 7, 2, batch_first=True), lambda m, x: (m(x), m(x)[0])[1])
    prepared = qat.prepare(model, images(2, shape=STEPS))
    assert list(prepared.quantizers.host.names) == ["input", "module.h_0_1", "module.c_0_1"]


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("scale", ["learned_log", "free"])
def test_few_multiplier_bits_train(make: type[nn.RNNBase], scale: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = images(8, shape=STEPS)
    model = Wrapped(make(5, 7, bias=False, batch_first=True), lambda m, x: m(x)[0])
    prepared = qat.prepare(model, x, Arithmetic(multiplier_bits=2), settings={"*": {"scale": scale}})
    inputs = prepared.quantizers.activations()
    assert inputs["module.h_0"].scale.value == inputs["module.l0.h"].scale.value > 0
    optimizer = torch.optim.Adam(prepared.train().parameters(), lr=1e-2)
    for _ in range(12):
        optimizer.zero_grad()
        prepared(x).square().mean().backward()
        optimizer.step()
    assert_one_value(prepared.eval(), x)
    assert_equal_codes(prepared, x, tmp_path)
