"""What the file alone says: int4 weights, settings, facts and tables, from which the same integers come again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

import qat
from compiler import ModelError, load_onnx
from compiler.reading.pointwise import function
from emulator import Arithmetic, Graph, LookupTable, run_graph
from tests.qat.networks import Mixed, images, randomized


class Curved(nn.Module):
    """A convolution and a linear layer, each with a table behind it: the product is a function of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.act, self.gate = nn.SiLU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv(x))
        return torch.tanh(self.head((x * self.gate(x)).mean((2, 3))))


RULES: dict[str, dict[str, Any]] = {
    "*": {"weight_bits": 6, "scale": "learned"},
    "conv": {"weight_bits": 4, "activation_bits": 5, "observer": "percentile", "percentile": 99.0},
    "head": {"weight_bits": 3, "per_channel": False, "symmetric": True},
}


def entry(file: Path, name: str) -> Any:
    return {e.key: json.loads(e.value) for e in onnx.load(file).metadata_props}[f"lockstep.{name}"]


@pytest.fixture
def curved(tmp_path: Path) -> tuple[qat.PreparedModel, Path]:
    torch.manual_seed(3)
    prepared = qat.prepare(randomized(Curved()), images(20), Arithmetic(multiplier_bits=20), settings=RULES)
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    return prepared, tmp_path / "model.onnx"


def test_settings_and_ranges_are_in_the_file(curved: tuple[qat.PreparedModel, Path]) -> None:
    prepared, file = curved
    assert qat.Settings(entry(file, "settings")) == prepared.quantizers.settings == qat.Settings(RULES)
    facts = entry(file, "layers")
    assert set(facts) == {"input", "conv", "mul", "mean", "head", "tanh"}
    assert {name: fact["activation_bits"] for name, fact in facts.items()} == {n: 8 for n in facts} | {"conv": 5}
    assert {n: f["weight_bits"] for n, f in facts.items() if "weight_bits" in f} == {"conv": 4, "head": 3}
    assert facts["conv"]["observer"] == "percentile" and facts["conv"]["percentile"] == 99.0
    assert not facts["head"]["per_channel"] and facts["head"]["symmetric"] and facts["head"]["scale"] == "learned"
    x = images(20)
    assert facts["input"]["range"] == [float(x.min()), float(x.max())]


def test_narrow_weights_are_int4(curved: tuple[qat.PreparedModel, Path], tmp_path: Path) -> None:
    prepared, file = curved
    kinds = {t.name: t for t in onnx.load(file).graph.initializer}
    weight = kinds["conv/weight/codes"]
    assert weight.data_type == TensorProto.INT4 and len(weight.raw_data) == math.ceil(4 * 3 * 9 / 2)
    assert kinds["conv/weight/zero_point"].data_type == TensorProto.INT4
    codes = (
        prepared.conv.weight.detach().numpy() / kinds_array(kinds, "conv/weight/scale")[:, None, None, None]
    ).round()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weight).astype(int), np.clip(codes, -7, 7))
    wide = qat.prepare(randomized(Curved()), images(20), settings={"*": {"weight_bits": 5}})
    qat.export_onnx(wide, tmp_path / "wide.onnx")
    kinds = {t.name: t for t in onnx.load(tmp_path / "wide.onnx").graph.initializer}
    assert kinds["conv/weight/codes"].data_type == TensorProto.INT8
    x = images(9, 1)
    for model, path in ((prepared, file), (wide, tmp_path / "wide.onnx")):
        graph = load_onnx(path)
        expected = run_graph(graph, {"input": x.numpy()}, every=True)
        for name, found in qat.codes(model, x).items():
            np.testing.assert_array_equal(found, expected[name], err_msg=name)


def kinds_array(kinds: dict[str, onnx.TensorProto], name: str) -> np.ndarray:
    result: np.ndarray = onnx.numpy_helper.to_array(kinds[name])
    return result


def parts(graph: Graph) -> Iterator[tuple[str, object]]:
    """Everything that a graph holds, arrays as bytes."""
    yield "arithmetic", graph.arithmetic
    yield "outputs", graph.outputs
    for tensor in (*graph.inputs, *graph.nodes):
        for field in fields(tensor):
            value = getattr(tensor, field.name)
            shown = (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
            yield f"{type(tensor).__name__} {tensor.name} {field.name}", shown


def test_the_file_alone_gives_the_same_graph(
    curved: tuple[qat.PreparedModel, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, file = curved
    first = list(parts(load_onnx(file)))
    copy = tmp_path / "elsewhere.onnx"
    copy.write_bytes(file.read_bytes())
    assert list(parts(load_onnx(copy))) == first
    # A machine whose mathematical functions round one value the other way reads the same tables.
    right = function.make_table

    def other_library(*arguments: Any) -> np.ndarray:
        table = right(*arguments).copy()
        table[100] += 1 if table[100] < 100 else -1
        return table

    monkeypatch.setattr(function, "make_table", other_library)
    assert list(parts(load_onnx(file))) == first
    graph, x = load_onnx(file), images(7, 2)
    assert sum(isinstance(node, LookupTable) for node in graph.nodes) == 2
    expected = run_graph(graph, {"input": x.numpy()}, every=True)
    found = qat.codes(prepared, x)
    assert set(found) == set(expected)
    for name, codes in found.items():
        np.testing.assert_array_equal(codes, expected[name], err_msg=name)
    # Without its tables the file is read with this machine's functions.
    model = onnx.load(file)
    kept = {e.key: e.value for e in model.metadata_props if e.key != "lockstep.tables"}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, copy)
    assert list(parts(load_onnx(copy))) != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "{", r"metadata lockstep\.tables must be JSON, not '{'"),
        (lambda t: "[]", r"metadata lockstep\.tables must be an object, not '\[\]'"),
        (lambda t: json.dumps(t | {"mul": "00"}), "the table of 'mul' must be 4 to 256 hexadecimal codes, a power of"),
        (lambda t: json.dumps(t | {"mul": "zz" * 256}), "the table of 'mul' must be 4 to 256 hexadecimal codes"),
        (lambda t: json.dumps(t | {"mul": [0] * 256}), "the table of 'mul' must be 4 to 256 hexadecimal codes"),
        (
            lambda t: json.dumps(t | {"mul": t["mul"][:-4] + "0000"}),
            r"mul.*: metadata lockstep\.tables: entry 254 must be what the operator gives, 127 or",
        ),
    ],
)
def test_tables_that_are_not_the_operators_are_refused(
    curved: tuple[qat.PreparedModel, Path], change: Any, message: str
) -> None:
    _, file = curved
    model = onnx.load(file)
    for e in model.metadata_props:
        if e.key == "lockstep.tables":
            e.value = change(json.loads(e.value))
    onnx.save(model, file)
    with pytest.raises(ModelError, match=message):
        load_onnx(file)


def test_tables_of_another_width_are_computed_anew(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())
    prepared = qat.prepare(model, images(8, shape=(4,)), Arithmetic(activation_bits=6))
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    wide = load_onnx(tmp_path / "model.onnx", Arithmetic(), override=True)
    assert [len(node.table) for node in wide.nodes if isinstance(node, LookupTable)] == [256]


def test_models_without_tables_have_none(tmp_path: Path) -> None:
    qat.export_onnx(qat.prepare(randomized(Mixed()), images(2)), tmp_path / "model.onnx")
    assert entry(tmp_path / "model.onnx", "tables") == {} == entry(tmp_path / "model.onnx", "settings")
