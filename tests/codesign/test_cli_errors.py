"""Wrong arguments and bad input: one sentence that names the culprit, nothing half-written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from codesign import cli
from codesign.cli import ERROR, EXTRAS, HOLDS, INTERRUPTED, main
from codesign.commands.benchmark import BENCHMARKS
from codesign.demo.run import IMAGES
from codesign.synthesis.synthesize import SEEDS
from tests.codesign.command import fails, runs
from tests.codesign.models import SHAPE, small_config, small_inputs, small_model

COMMANDS = (
    "demo", "verilog", "synthesize", "compile", "run", "simulate", "validate", "diverge", "certify", "benchmark",
)  # fmt: skip


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == HOLDS
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_debug(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == HOLDS
    out = capsys.readouterr().out
    assert "--json" in out and "--debug" in out


def test_the_help_of_benchmark_has_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--help"]) == HOLDS
    out = capsys.readouterr().out
    assert all(f"- {name}: " in out for name in BENCHMARKS)


def test_the_help_tells_how_many_random_samples_run_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "--help"]) == HOLDS
    words = " ".join(re.findall(r"[\w:]+", capsys.readouterr().out))
    samples = runs(capsys, ["run", small_model(tmp_path)])["samples"]
    assert f"or {samples} random ones" in words


@pytest.mark.parametrize(
    ("command", "default"), [("demo", IMAGES), ("synthesize", " ".join(map(str, SEEDS)))]
)  # fmt: skip
def test_the_help_tells_the_defaults(capsys: pytest.CaptureFixture[str], command: str, default: object) -> None:
    assert main([command, "--help"]) == HOLDS
    assert f"Default: {default}." in " ".join(re.findall(r"[\w:.]+", capsys.readouterr().out))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["bogus"], "bogus"),
        (["run"], "MODEL"),
        (["verilog", "c.toml"], "--output"),
        (["compile", "m.onnx", "-o", "build"], "Missing option '--config'"),
        (["run", "m.onnx", "--bogus"], "--bogus"),
        (["run", "m.onnx", "--samples", "0"], "--samples"),
        (["demo", "--images", "many"], "--images"),
    ],
)
def test_wrong_arguments_show_the_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], named: str) -> None:
    assert main(arguments) == ERROR
    out, err = capsys.readouterr()
    usage, sentence = err.splitlines()
    assert out == ""
    assert usage.startswith("Usage: lockstep")
    assert sentence.startswith("lockstep: error: ") and named in sentence


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str], place: int) -> None:
    arguments = ["run", "absent.onnx"]
    arguments.insert(place, "--debug")
    assert main(arguments) == ERROR
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and "lockstep: error: absent.onnx" in err.splitlines()[-1]


def test_toml_with_an_unknown_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = small_config(tmp_path, "rows = 4\nrosw = 5\n")
    fails(capsys, ["verilog", file, "-o", tmp_path / "a.v"], str(file), "'rosw'")
    assert not (tmp_path / "a.v").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rows = 65\n", "rows must be an integer from 1 to 64, not 65"),
        ("[arithmetic]\nrounding = 'up'\n", "rounding"),
        ("[arithmetic]\nwidth = 8\n", "'width'"),
        ("rows = \n", "TOML"),
    ],
)
def test_a_bad_config_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, named: str) -> None:
    fails(capsys, ["run", small_model(tmp_path), "--config", small_config(tmp_path, text)], "c.toml", named)


@pytest.mark.parametrize("arguments", [["run", "absent.onnx"], ["verilog", "absent.toml", "-o", "a.v"]])
def test_missing_file(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    fails(capsys, arguments, arguments[1], "No such file")


def test_truncated_onnx(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = small_model(tmp_path)
    data = file.read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        fails(capsys, ["run", file], str(file))


def test_foreign_file_as_onnx(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"PK\x03\x04 this is no model")
    fails(capsys, ["validate", file], str(file), "ONNX")


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"input": np.zeros((1, *SHAPE), np.float32), "image": np.zeros(1)}, ("'image'", "'input'")),
        ({"input": np.zeros((1, 6, 6, 2), np.float32)}, ("'input'", "(batch, 2, 6, 6)", "(1, 6, 6, 2)")),
        ({"input": np.zeros((1, *SHAPE), np.int64)}, ("'input'", "int64")),
        ({"input": np.float32(1)}, ("'input'", "()")),
        ({"input": np.zeros((0, *SHAPE), np.float32)}, ("sample",)),
        ({"input": np.full((1, *SHAPE), np.nan, np.float32)}, ("'input'", "NaN")),
    ],
)
@pytest.mark.parametrize("command", ["run", "simulate", "validate"])
def test_wrong_inputs(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    arrays: dict[str, np.ndarray],
    named: tuple[str, ...],
) -> None:
    file = small_inputs(tmp_path, **arrays)
    fails(capsys, [command, small_model(tmp_path), "--inputs", file], str(file), *named)


def test_inputs_that_are_no_npz(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    file.write_text("not an archive")
    fails(capsys, ["run", small_model(tmp_path), "--inputs", file], str(file))


def test_arithmetic_of_model_and_config_differ(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path, accumulator_bits=20)
    config = small_config(tmp_path, "[arithmetic]\naccumulator_bits = 16\n")
    fails(capsys, ["run", model, "--config", config], str(model), "accumulator_bits", "override")
    result = runs(capsys, ["run", model, "--config", config, "--override", "--samples", 2])
    assert result["arithmetic"]["accumulator_bits"] == 16


def test_unknown_simulator_benchmark_and_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path)
    for command in ("simulate", "validate"):
        fails(capsys, [command, model, "--simulator", "modelsim"], "modelsim", "verilator", "icarus")
    fails(capsys, ["simulate", model, "--trace", tmp_path / "a.txt"], "a.txt", "fst")
    fails(capsys, ["benchmark", "speed"], "speed", "emulator")


@pytest.mark.parametrize("extra", ["--json", "--output"])
def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, extra: str) -> None:
    fails(capsys, ["run", small_model(tmp_path), extra, tmp_path / "absent" / "file"], "absent", "does not exist")
    fails(capsys, ["run", small_model(tmp_path), extra, tmp_path], str(tmp_path), "folder")


def test_no_command_writes_over_what_it_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, config, inputs = small_model(tmp_path), small_config(tmp_path), small_inputs(tmp_path)
    kept = {file: file.read_bytes() for file in (model, config, inputs)}
    given = [model, "--config", config, "--inputs", inputs]
    for command, over in (
        (["verilog", config, "-o"], config),
        (["verilog", config, "-o", tmp_path / "a.v", "--json"], config),
        (["synthesize", config, "--area-only", "--json"], config),
        (["synthesize", config, "--liberty", inputs, "--json"], inputs),
        (["demo", "-o", tmp_path / "demo", "--config", config, "--json"], config),
        (["study", config, "-o", tmp_path / "study", "--json"], config),
        (["compile", model, "--config", config, "-o", tmp_path / "build", "--json"], model),
        (["run", *given, "--json"], model),
        (["run", *given, "-o"], inputs),
        (["run", *given, "--energy-table", config, "--timeline"], config),
        (["simulate", *given, "--trace"], model),
        (["simulate", *given, "--json"], inputs),
        (["validate", *given, "--json"], config),
        (["diverge", *given, "-o"], config),
        (["certify", model, "--arithmetic", config, "--json"], config),
    ):
        fails(capsys, [*command, over], f"{over}: must be another file than {over}")
    fails(capsys, ["run", *given, "-o", tmp_path / "o", "--json", tmp_path / "o"], "o: must be another file than")
    assert all(file.read_bytes() == content for file, content in kept.items())
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that takes no files, whoever asks")
@pytest.mark.parametrize("extra", ["--json", "--output", "--timeline"])
def test_a_folder_that_takes_no_files_fails_before_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extra: str
) -> None:
    monkeypatch.setattr("codesign.commands.run.prepare", None)  # the work
    fails(capsys, ["run", small_model(tmp_path), extra, "/proc/t.json"], "/proc/t.json: cannot be written")


@pytest.mark.parametrize("extra", ["--json", "--output"])
def test_a_full_device_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, extra: str) -> None:
    model = small_model(tmp_path)
    assert main(["run", str(model), extra, "/dev/full"]) == ERROR
    assert capsys.readouterr().err.splitlines()[-1] == "lockstep: error: /dev/full: No space left on device"


def test_more_images_than_there_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails(capsys, ["demo", "-o", tmp_path / "out", "--images", "1001"], "images", "from 1 to 1000", "1001")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_no_output_and_no_temporary_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    bad = small_inputs(tmp_path, input=np.zeros((1, 2, 2), np.float32))
    arguments = ["run", small_model(tmp_path), "--inputs", bad, "--output", out / "y.npz", "--json", out / "r.json"]
    fails(capsys, arguments)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("no"), ERROR), (KeyboardInterrupt(), INTERRUPTED)])
@pytest.mark.parametrize("command", ["demo", "synthesize"])
def test_a_failure_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, error: BaseException, status: int
) -> None:
    def half(_: object, place: Path, *__: object, **___: object) -> None:
        (place.parent if place.suffix == ".onnx" else place).joinpath("half").touch()
        raise error

    monkeypatch.setattr("codesign.demo.run_demo", half)
    monkeypatch.setattr("codesign.commands.synthesize.synthesize", half)
    arguments = [command, str(small_config(tmp_path))] if command == "synthesize" else [command]
    there = tmp_path / "there"
    there.mkdir()
    for folder in (tmp_path / "absent" / "out", there):
        assert main([*arguments, "-o", str(folder)]) == status
    assert not (tmp_path / "absent").exists() and list(there.iterdir()) == []


def test_a_defect_is_one_sentence_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("codesign.execution.model.load_model", broken)
    fails(capsys, ["run", small_model(tmp_path)], "KeyError", "oops", "--debug")


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_extra_is_named(package: str) -> None:
    sentence = cli.sentence(ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.part"))
    assert package in sentence and f"lockstep[{EXTRAS[package]}]" in sentence and "\n" not in sentence


def test_runtimes_and_formats_have_extras_of_their_own() -> None:
    packages = {"onnxruntime": "onnxruntime", "tflite": "tflite", "ai_edge_litert": "litert", "tflite_micro": "tflm"}
    assert {package: EXTRAS[package] for package in packages} == packages


def test_a_log_is_shown_only_with_debug() -> None:
    assert cli.one_line("the build failed; its log ends:\nline\nline") == (
        "the build failed; its log ends (--debug shows it all)"
    )
