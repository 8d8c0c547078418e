"""`--arithmetic` and `--outputs`: whose bits count, and where a model is cut."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from emulator import Arithmetic, run_graph
from tests.codesign.command import fails, runs
from tests.codesign.models import small_config, small_inputs, small_model

NARROW = "[arithmetic]\naccumulator_bits = 16\nrounding = 'floor'\n"
tflite = pytest.mark.skipif(find_spec("tflite") is None, reason="needs the extra lockstep[tflite]")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("tflm", Arithmetic.tflm()),
        ("default", Arithmetic()),
        ("[arithmetic]", Arithmetic(accumulator_bits=16, rounding="floor")),
        ("fields", Arithmetic(accumulator_bits=16, rounding="floor")),
        ("config", Arithmetic(accumulator_bits=16, rounding="floor")),
    ],
)
def test_run_takes_the_chosen_arithmetic(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, choice: str, expected: Arithmetic
) -> None:
    from compiler import load_onnx

    texts = {"[arithmetic]": NARROW, "fields": NARROW.partition("\n")[2], "config": f"rows = 4\n{NARROW}"}
    if choice in texts:
        file = tmp_path / "a.toml"
        file.write_text(texts[choice])
        choice = str(file)
    model, inputs = small_model(tmp_path), small_inputs(tmp_path)
    result = runs(capsys, ["run", model, "--inputs", inputs, "--arithmetic", choice])
    assert result["arithmetic"] == expected.as_dict()
    with np.load(inputs) as arrays:
        codes = run_graph(load_onnx(model, expected), dict(arrays))["output"]
    assert result["outputs"]["output"]["codes"] == codes.tolist()


def test_conflicts_with_the_model_and_with_the_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path, accumulator_bits=20)
    fails(capsys, ["run", model, "--arithmetic", "default"], str(model), "accumulator_bits 20 (given: 32)", "override")
    result = runs(capsys, ["run", model, "--arithmetic", "default", "--override", "--samples", 1])
    assert result["arithmetic"]["accumulator_bits"] == 32
    config = small_config(tmp_path, f"rows = 2\ncolumns = 2\n{NARROW}")
    plain = small_model(tmp_path)
    arguments = ["run", plain, "--config", config, "--arithmetic", "default", "--samples", 1]
    fails(capsys, arguments, str(config), "accumulator_bits 16 (given: 32)", "rounding 'floor'", "--override")
    result = runs(capsys, [*arguments, "--override"])
    assert result["config"]["arithmetic"] == result["arithmetic"] == Arithmetic().as_dict()


def test_a_config_without_an_arithmetic_takes_the_chosen_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = small_config(tmp_path, "rows = 2\ncolumns = 2\n")
    file = tmp_path / "a.toml"
    file.write_text(NARROW)
    arguments = [small_model(tmp_path), "--config", config, "--arithmetic", file]
    result = runs(capsys, ["run", *arguments, "--samples", 1])
    assert result["holds"] and result["config"]["rows"] == 2
    assert result["config"]["arithmetic"]["accumulator_bits"] == 16


@pytest.mark.parametrize("command", ["run", "simulate", "validate", "certify", "diverge"])
def test_a_bad_choice_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str) -> None:
    model, file = small_model(tmp_path), tmp_path / "a.toml"
    fails(capsys, [command, model, "--arithmetic", "tfl"], "--arithmetic", "default, tflm", "'tfl'")
    fails(capsys, [command, model, "--arithmetic", file], str(file), "No such file")
    for text, named in (
        ("width = 8\n", "a table [arithmetic], or only its fields"),
        ("rounding = 'up'\n", "rounding must be one of"),
        ("[arithmetic]\nwidth = 8\n", "width"),
        ("rounding = \n", "TOML"),
        ("", "a table [arithmetic]"),
    ):
        file.write_text(text)
        fails(capsys, [command, model, "--arithmetic", file], str(file), named)


def test_certify_with_a_chosen_accumulator(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, file = small_model(tmp_path), tmp_path / "a.toml"
    smallest = runs(capsys, ["certify", model])["smallest_bits"]
    for bits, status in ((smallest, 0), (smallest - 1, 1)):
        file.write_text(f"accumulator_bits = {bits}\n")
        result = runs(capsys, ["certify", model, "--arithmetic", file], status)
        assert (result["accumulator_bits"], result["smallest_bits"], result["safe"]) == (bits, smallest, not status)
        assert all(layer["attained"] for layer in result["layers"])


@tflite
def test_outputs_of_the_host_in_every_implementation(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Softmax at the end: the model's own outputs, computed behind the codes of emulator and machine alike."""
    from compiler import load_model
    from tests.compiler.tflite.whole import classifier

    model, file = classifier().save(tmp_path), tmp_path / "y.npz"
    graph = load_model(model, Arithmetic.tflm())
    codes = np.random.default_rng(0).integers(-128, 128, (3, *graph.inputs[0].shape), np.int8)
    arguments = ["--inputs", small_inputs(tmp_path, any_name=codes), "--arithmetic", "tflm"]
    config = small_config(tmp_path, "rows = 4\ncolumns = 4\n")
    result = runs(capsys, ["run", model, *arguments, "--config", config, "--output", file])
    expected = run_graph(graph, {graph.inputs[0].name: codes})
    ((name, array),) = expected.items()
    assert result["outputs"][name]["values"] == array.tolist() and result["holds"] is True
    assert result["mismatches"]["emulator_machine_outputs"] == 0
    with np.load(file) as written:
        np.testing.assert_array_equal(written[name], array, strict=True)


@tflite
def test_a_host_part_that_differs_is_a_mismatch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emulator.machine import Machine
    from tests.compiler.tflite.whole import classifier

    honest = Machine.run

    def wrong(self: Machine, *arguments: object, **options: object) -> object:
        result = honest(self, *arguments, **options)
        return replace(result, outputs={name: np.full_like(array, 5) for name, array in result.outputs.items()})

    monkeypatch.setattr(Machine, "run", wrong)
    config = small_config(tmp_path, "rows = 4\ncolumns = 4\n")
    result = runs(capsys, ["run", classifier().save(tmp_path), "--config", config, "--samples", 2], 1)
    assert result["mismatches"]["emulator_machine"] == 0 < result["mismatches"]["emulator_machine_outputs"]


@tflite
def test_outputs_cut_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_model
    from tests.compiler.tflite.whole import classifier

    model = classifier().save(tmp_path)
    graph = load_model(model)
    first = graph.nodes[0].name
    result = runs(capsys, ["run", model, "--outputs", first, "--samples", 2])
    assert list(result["outputs"]) == [first] and [layer["name"] for layer in result["layers"]] == [first]
    fails(capsys, ["run", model, "--outputs", "absent"], str(model), "'absent'")


def test_outputs_cut_an_onnx_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_model

    model = small_model(tmp_path)
    tensor = load_model(model).metadata["codes"]["pool"]
    result = runs(capsys, ["run", model, "--outputs", tensor, "--samples", 2])
    assert list(result["outputs"]) == [tensor] and [layer["name"] for layer in result["layers"]] == ["conv", "pool"]
    checked = runs(capsys, ["validate", model, "--outputs", tensor])
    assert checked["holds"] and [output["name"] for output in checked["outputs"]] == [tensor]
    fails(capsys, ["validate", model, "--outputs", "absent"], str(model), "'absent'")


@tflite
def test_codes_of_uint8_files_are_taken_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_model
    from tests.compiler.tflite.net import Net

    net = Net(1)
    x = net.input((1, 10), (0.05, 140), type="uint8")
    y = net.add("QUANTIZE", [x], (1, 10), (0.05, 12))
    weight, scale = net.weights((6, 10), None)
    y = net.add("FULLY_CONNECTED", [y, weight, net.bias(6, y, scale)], (1, 6), (0.1, -3))
    net.add("QUANTIZE", [y], (1, 6), (0.1, 125), type="uint8")
    model = net.save(tmp_path)
    graph = load_model(model)
    codes = np.random.default_rng(0).integers(0, 256, (2, *graph.inputs[0].shape), np.uint8)
    result = runs(capsys, ["run", model, "--inputs", small_inputs(tmp_path, x=codes)])
    ((name, array),) = run_graph(graph, {graph.inputs[0].name: codes}).items()
    assert array.dtype == np.uint8 and result["outputs"][name]["values"] == array.tolist()
    fails(capsys, ["run", model, "--inputs", small_inputs(tmp_path, x=codes.view(np.int8))], "uint8", "not int8")


def test_inputs_of_a_head_are_the_models_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """(x − mean) / deviation in front of the first QuantizeLinear, and uint8 pixels in front of that."""
    from onnx import TensorProto, helper

    from compiler import load_model
    from tests.compiler.models import Model

    model = Model()
    model.input((2, 4, 4))
    del model.inputs[:]
    model.inputs.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", 2, 4, 4]))
    x = model.node("Cast", ["pixels"], to=TensorProto.FLOAT)
    x = model.node("Div", [model.node("Sub", [x, model.constant(127.5)]), model.constant(60.0)])
    weight = model.weight(np.random.default_rng(1).integers(-127, 128, (3, 2, 1, 1)), 0.01)
    model.output(model.qdq(model.node("Conv", [model.qdq(x, 0.02), weight], "conv"), 0.05))
    file = model.save(tmp_path)
    pixels = np.random.default_rng(2).integers(0, 256, (3, 2, 4, 4), np.uint8)
    result = runs(capsys, ["run", file, "--inputs", small_inputs(tmp_path, any=pixels), "--samples", 2])
    ((name, array),) = run_graph(load_model(file), {"pixels": pixels[:2]}).items()
    assert result["samples"] == 2 and result["outputs"][name]["codes"] == array.tolist()
    assert runs(capsys, ["validate", file])["holds"] is True
    wrong = small_inputs(tmp_path, pixels=pixels.astype(np.float32))
    fails(capsys, ["run", file, "--inputs", wrong], str(wrong), "'pixels'", "uint8", "float32")
    wrong = small_inputs(tmp_path, pixels=pixels[:, :1])
    fails(capsys, ["run", file, "--inputs", wrong], str(wrong), "(batch, 2, 4, 4)", "(3, 1, 4, 4)")
