"""The front door's benchmark: what it calls accepted, right and wrong, and how its rows are counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from codesign.benchmarks.frontdoor import cases, matrix, rows, tiny
from codesign.benchmarks.frontdoor.families import FAMILIES
from codesign.benchmarks.frontdoor.generate import FAILURES, generate
from codesign.benchmarks.frontdoor.matrix import Outcome, evaluate
from codesign.benchmarks.frontdoor.quantizers import QUANTIZERS
from codesign.validate import validation
from tests.codesign.command import fails, runs
from tests.compiler.models import Model, small_network


def saved(model: Model, folder: Path, quantizer: str, family: str) -> Path:
    (folder / quantizer).mkdir(parents=True, exist_ok=True)
    return model.save(folder / quantizer).rename(folder / quantizer / f"{family}.onnx")


def unsupported() -> Model:
    model = Model()
    model.output(model.qdq(model.node("Det", [model.qdq(model.input((2, 2, 2)), 0.1)]), 0.1))
    return model


def test_a_file_is_accepted_and_right_on_emulator_and_machine(tmp_path: Path) -> None:
    outcome = evaluate(saved(small_network(), tmp_path, "q", "f"), machine=True)
    assert outcome.right and outcome.machine and (outcome.quantizer, outcome.family) == ("q", "f")
    assert outcome.compared > 4000 and outcome.differing < 100  # ties, and its rounded biases


def test_a_file_that_is_refused_has_its_sentence(tmp_path: Path) -> None:
    path = saved(unsupported(), tmp_path, "q", "f")
    outcome = evaluate(path, machine=True)
    assert not outcome.accepted and not outcome.right and "Det" in (outcome.reason or "")
    assert str(path) not in (outcome.reason or "")


def test_wrong_codes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: what validate reads has another zero point in one layer."""
    right = validation.load_model

    def wrong(*arguments, **options):
        graph = right(*arguments, **options)
        nodes = [replace(node, bias=node.bias + 200) if node.name == "depthwise" else node for node in graph.nodes]
        return replace(graph, nodes=tuple(nodes))

    path = saved(small_network(), tmp_path, "q", "f")
    monkeypatch.setattr(validation, "load_model", wrong)
    outcome = evaluate(path)
    assert outcome.accepted and not outcome.right and "depthwise" in (outcome.reason or "")


def test_rows_count_files_but_not_those_of_mixed_precision(tmp_path: Path) -> None:
    mixed = matrix.MIXED[0]
    found = [Outcome("a", str(index), accepted=index < 9, reason=None if index < 9 else "no") for index in range(10)]
    found += [Outcome(mixed, "0", accepted=False, reason="Conv 'x': layer 3 is float")]
    table = {row["name"]: row for row in matrix.rows(found, tmp_path)}
    assert table["a: files accepted, of 10"]["value"] == 90
    assert table["a: files accepted, of 10"]["refused"] == {"no": 1}
    assert table[f"{mixed}: files accepted, of 1"]["refused"] == {"Conv …: layer # is float": 1}
    whole = table["matrix of 1 quantizers and 10 families: 10 files, accepted"]
    assert (whole["value"], whole["holds"]) == (90, True)
    assert table["accepted files: not exact and not explained"]["holds"] is True
    found[3] = replace(found[3], reason="2 codes differ")
    found[4] = replace(found[4], accepted=False)
    table = {row["name"]: row for row in matrix.rows(found, tmp_path)}
    assert table["matrix of 1 quantizers and 10 families: 10 files, accepted"]["holds"] is False
    assert table["accepted files: not exact and not explained"]["value"] == 1
    assert table["accepted files: not exact and not explained"]["holds"] is False


def test_the_matrix_is_as_large_as_it_must_be() -> None:
    assert len(FAMILIES) >= 20
    assert len({module for module in QUANTIZERS.values()} - set(matrix.MIXED)) >= 6


def test_generated_files_run_in_onnx_runtime_and_are_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime.quantization")
    for folder in ("first", "second"):
        assert generate("ort_qdq_u8s8", ["mlp", "tabular"], tmp_path / folder) == {}
    for name in ("mlp", "tabular"):
        first, second = (tmp_path / folder / "ort_qdq_u8s8" / f"{name}.onnx" for folder in ("first", "second"))
        inputs = [tensor.numpy() for tensor in FAMILIES[name].inputs(1)]
        results = []
        for path in (first, second):
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            feeds = dict(zip((node.name for node in session.get_inputs()), inputs, strict=True))
            results.append(session.run(None, feeds)[0])
        np.testing.assert_array_equal(*results)
        assert any(node.op_type == "QuantizeLinear" for node in onnx.load(first).graph.node)
        assert evaluate(first, machine=True).right
    assert (tmp_path / "first" / "ort_qdq_u8s8" / FAILURES).read_text() == "{}"


def test_cases_come_out_as_they_must(tmp_path: Path) -> None:
    """One that must be read, one that must be refused in words of its own, and one that comes out otherwise."""
    folder, work = tmp_path / "cases", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    good, bad = small_network().save(tmp_path).read_bytes(), unsupported().save(tmp_path).read_bytes()
    (folder / "_mini.py").write_text("import onnx\ndef verdict(model, what, right): raise AssertionError\n")
    script = "from _mini import *\nverdict(onnx.ModelProto.FromString({!r}), 'what', 'right')\n"
    for name, data in (("uint8_input", good), ("int16_activations", good), ("opset_26", bad), ("layer_norm", bad)):
        (folder / f"{name}.py").write_text(script.format(data))
    (row,) = cases.rows(folder, work)
    assert (row["name"], row["value"], row["holds"]) == ("cases that come out otherwise than they must, of 3", 2, False)
    assert row["wrong"]["int16_activations"] == "it is read" and "Det" in row["wrong"]["opset_26"]


def test_what_is_absent_is_not_run(tmp_path: Path) -> None:
    absent = [*cases.rows(None, tmp_path), *tiny.rows(None, rtl=True), *tiny.rows(tmp_path, rtl=True)]
    assert len(absent) == 7 and all(row["holds"] is None and row["value"].startswith("not run") for row in absent)
    assert matrix.rows([], tmp_path)[-1]["holds"] is None
    with pytest.raises(ValueError, match="must be a folder"):
        rows.rows(models=tmp_path / "absent")


def test_options_reach_the_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr("codesign.benchmarks.frontdoor.rows.rows", lambda **options: given.append(options) or [])
    runs(capsys, ["benchmark", "frontdoor"])
    runs(capsys, ["benchmark", "frontdoor", "--rtl", "--models", tmp_path, "--cases", tmp_path / "c"])
    assert given == [{}, {"rtl": True, "models": tmp_path, "cases": tmp_path / "c"}]
    fails(capsys, ["benchmark", "emulator", "--models", tmp_path], "--models", "frontdoor", "emulator")
