"""``lockstep diverge``: status, JSON, the page, and what it refuses."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import FAILS, HOLDS, main
from codesign.diverge import run as running
from emulator import run_graph
from tests.codesign.command import fails, runs
from tests.codesign.models import SHAPE, small_config, small_inputs, small_model
from tests.compiler.tflite.whole import classifier


def test_two_that_show_no_layer_in_common_do_not_agree(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(tmp_path)
    monkeypatch.setattr(running, "run_graph", lambda *_, **__: {})
    fails(capsys, ["diverge", model, "emulator", "machine"], "emulator and machine", "no layer in common", "take")


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator's last layer has one other code, in the second sample."""

    def changed(*arguments: object, **options: object) -> dict[str, np.ndarray]:
        layers = run_graph(*arguments, **options)
        layers["fc"][1, 3] ^= 1
        return layers

    monkeypatch.setattr(running, "run_graph", changed)


def test_agreement(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = runs(capsys, ["diverge", small_model(tmp_path), "emulator", "machine", "--samples", 3])
    assert result["agree"] is True and result["element"] is None and result["samples"] == 3
    assert result["sentence"].startswith("emulator and machine agree: over 3 samples")


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize("name", ["page.html", "page.md"])
def test_the_page(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    config, page = small_config(tmp_path), tmp_path / name
    inputs = small_inputs(tmp_path, x=np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32))
    arguments = [small_model(tmp_path), "emulator", "machine", "--config", config, "--inputs", inputs, "-o", page]
    result = runs(capsys, ["diverge", *arguments], FAILS)
    place = result["element"]["place"]
    assert (place["layer"], place["sample"], place["index"]) == ("fc", 1, [3])
    assert result["element"]["right"] == ["machine"] and len(result["element"]["trace"]["sums"]) == 36
    assert result["element"]["codes"]["machine"] == result["element"]["trace"]["code"]
    assert [layer["differing"] for layer in result["layers"] if layer["name"] == "fc"] == [1]
    text = page.read_text(encoding="utf-8")
    assert "layer" in text and "machine right, emulator wrong" in text and "products and partial sums" in text
    assert main([str(argument) for argument in ["diverge", *arguments]]) == FAILS
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == f"the page is {page}" and out[-2] == result["sentence"]


def test_refusals(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(tmp_path)
    fails(capsys, ["diverge", model, "emulator", "gpu"], "emulator, machine, rtl, onnxruntime, tflm", "'gpu'")
    fails(capsys, ["diverge", model, "machine", "machine"], "two implementations", "machine twice")
    fails(capsys, ["diverge", model, "torch", "machine"], "prepared model", "codesign.diverge")
    fails(capsys, ["diverge", model, "emulator", "machine", "-o", tmp_path / "page.txt"], "*.html or *.md", "page.txt")
    fails(capsys, ["diverge", model, "emulator", "machine", "-o", tmp_path / "absent" / "page.md"], "does not exist")
    fails(capsys, ["diverge", model, "emulator", "tflm"], str(model), "an ONNX file", "with onnxruntime, not with tflm")
    tflite = classifier().save(tmp_path)
    refused = ["diverge", tflite, "emulator", "onnxruntime"]
    fails(capsys, refused, str(tflite), "a TFLite file", "litert or tflm, not with onnxruntime")
    monkeypatch.setattr("codesign.peers.runtimes.find_spec", lambda name: None)
    refused = ["diverge", model, "onnxruntime", "emulator"]
    fails(capsys, refused, "onnxruntime needs the package", "pip install 'lockstep[onnxruntime]'")
    fails(capsys, ["diverge", "absent.onnx"], "absent.onnx", "No such file")


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="needs the extra lockstep[tflm]")
def test_another_arithmetic_than_the_runtime_has_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "floor.toml"
    config.write_text('rounding = "floor"\n', encoding="utf-8")
    arguments = ["diverge", str(classifier().save(tmp_path)), "emulator", "tflm", "--samples", "2", "--arithmetic"]
    assert main([*arguments, str(config)]) == FAILS
    assert "with --arithmetic tflm" in capsys.readouterr().out
    assert main([*arguments, "tflm"]) == HOLDS
    assert "with --arithmetic tflm" not in capsys.readouterr().out
