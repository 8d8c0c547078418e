"""Damaged files: a few hundred of them, and that the judge notices each kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.benchmarks.frontdoor.fuzz import judge
from codesign.benchmarks.frontdoor.fuzz.judge import NOT_RUN, REFUSED, RIGHT
from codesign.benchmarks.frontdoor.fuzz.run import verdicts
from codesign.benchmarks.frontdoor.fuzz.worker import mutant
from compiler import ModelError
from tests.compiler.models import Model, small_network


def seeds(folder: Path) -> Path:
    folder.mkdir()
    small_network().save(folder).rename(folder / "small.onnx")
    model = Model()
    x = model.qdq(model.input((3, 6, 6)), 0.05)
    y = model.qdq(model.node("Sigmoid", [x]), 1 / 256, -128)
    z = model.node("Reshape", [model.qdq(model.node("Mul", [x, y]), 0.05), model.constant([0, -1], "int64")])
    model.output(model.qdq(z, 0.05))
    model.save(folder).rename(folder / "gate.onnx")
    return folder


def test_damaged_files_are_refused_in_a_sentence_or_right(tmp_path: Path) -> None:
    found = verdicts(seeds(tmp_path / "seeds"), tmp_path, 300)
    assert len(found) == 300 and {REFUSED, RIGHT} <= set(found.values())
    assert {index: verdict for index, verdict in found.items() if verdict not in (REFUSED, RIGHT, NOT_RUN)} == {}


def test_a_file_can_be_made_again_from_its_index(tmp_path: Path) -> None:
    files = sorted(seeds(tmp_path / "seeds").iterdir())
    made = [mutant(files, index) for index in range(40)]
    assert made == [mutant(files, index) for index in range(40)]
    originals = [file.read_bytes() for file in files]
    assert sum(data not in originals for data, _ in made) > 30


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KeyError("x"), "raises KeyError"),
        (MemoryError(), "raises MemoryError"),
        (ValueError("of another class"), "raises ValueError"),
        (ModelError("elsewhere: a sentence"), "says no sentence"),
        (ModelError("PATH: a sentence\nand another"), "says no sentence"),
        (ModelError("PATH: a sentence"), REFUSED),
    ],
)
def test_faults_are_told_from_sentences(
    error: Exception, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"

    def load(*arguments: object) -> None:
        raise type(error)(*(str(text).replace("PATH", str(path)) for text in error.args))

    monkeypatch.setattr(judge, "load_model", load)
    assert judge.judge(path, lambda path, graph: RIGHT).startswith(verdict)


def test_what_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object) -> None:
        while True:
            pass

    monkeypatch.setattr(judge, "SECONDS", 0.2)
    monkeypatch.setattr(judge, "load_model", load)
    assert judge.judge(tmp_path / "model.onnx", lambda path, graph: RIGHT).startswith("hangs")


def test_what_only_we_read_is_noticed(tmp_path: Path) -> None:
    """A file that ONNX Runtime refuses, though it was read."""
    small = small_network().save(tmp_path).rename(tmp_path / "small.onnx")
    assert judge.judge(small, judge.against_onnx_runtime) == RIGHT
    damaged = small_network().proto()
    damaged.graph.output[0].type.tensor_type.elem_type = 0
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damaged.SerializeToString())
    assert "but not by ONNX Runtime" in judge.against_onnx_runtime(path, judge.load_model(small))
