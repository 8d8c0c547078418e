"""The command line: exit status, one sentence for a failure, JSON alone on standard output, nothing half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codesign import cli
from codesign.cli import ERROR, EXTRAS, FAILS, HOLDS, INTERRUPTED, main
from emulator import AcceleratorConfig, load_config, run_graph
from tests.codesign.models import SHAPE, small_config, small_inputs, small_model

COMMANDS = ("demo", "verilog", "run", "simulate", "validate", "benchmark")


def fails(capsys: pytest.CaptureFixture[str], arguments: list[object], *named: str) -> str:
    """Run ``lockstep``, which must fail with one sentence that names the culprits; returns the sentence."""
    assert main([str(argument) for argument in arguments]) == ERROR
    out, err = capsys.readouterr()
    assert out == ""
    sentences = [line for line in err.splitlines() if line.startswith("lockstep: error: ")]
    assert len(sentences) == 1 and err.endswith(sentences[0] + "\n"), err
    assert "Traceback" not in err
    for name in named:
        assert name in sentences[0], sentences[0]
    return sentences[0]


def runs(capsys: pytest.CaptureFixture[str], arguments: list[object], status: int = HOLDS) -> dict[str, object]:
    """Run ``lockstep … --json -`` and return the JSON, which must be all that standard output holds."""
    assert main([*(str(argument) for argument in arguments), "--json", "-"]) == status
    result = json.loads(capsys.readouterr().out)
    assert isinstance(result, dict)
    return result


# Wrong arguments.


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == HOLDS
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_debug(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--help"]) == HOLDS
    out = capsys.readouterr().out
    assert "--json" in out and "--debug" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["bogus"], "bogus"),
        (["run"], "MODEL.onnx"),
        (["verilog", "c.toml"], "--output"),
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


# Bad input.


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
        ({"image": np.zeros((1, *SHAPE), np.float32)}, ("'image'", "input")),
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
    fails(capsys, ["simulate", model, "--simulator", "modelsim"], "modelsim", "verilator", "icarus")
    fails(capsys, ["simulate", model, "--trace", tmp_path / "a.txt"], "a.txt", "fst")
    fails(capsys, ["benchmark", "speed"], "speed", "emulator")


@pytest.mark.parametrize("extra", ["--json", "--output"])
def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, extra: str) -> None:
    fails(capsys, ["run", small_model(tmp_path), extra, tmp_path / "absent" / "file"], "absent", "does not exist")
    fails(capsys, ["run", small_model(tmp_path), extra, tmp_path], str(tmp_path), "folder")


def test_a_failure_leaves_no_output_and_no_temporary_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    bad = small_inputs(tmp_path, input=np.zeros((1, 2, 2), np.float32))
    arguments = ["run", small_model(tmp_path), "--inputs", bad, "--output", out / "y.npz", "--json", out / "r.json"]
    fails(capsys, arguments)
    assert list(out.iterdir()) == []


def test_a_defect_is_one_sentence_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("codesign.execution.load_onnx", broken)
    fails(capsys, ["run", small_model(tmp_path)], "KeyError", "oops", "--debug")


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_extra_is_named(package: str) -> None:
    sentence = cli.sentence(ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.part"))
    assert package in sentence and f"lockstep[{EXTRAS[package]}]" in sentence and "\n" not in sentence


def test_a_log_is_shown_only_with_debug() -> None:
    assert cli.one_line("the build failed; its log ends:\nline\nline") == (
        "the build failed; its log ends (--debug shows it all)"
    )


# What the commands do.


def test_run_gives_the_emulators_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_onnx

    model, inputs = small_model(tmp_path), small_inputs(tmp_path)
    file = tmp_path / "y.npz"
    result = runs(capsys, ["run", model, "--inputs", inputs, "--output", file])
    with np.load(inputs) as arrays:
        expected = run_graph(load_onnx(model), dict(arrays))["output"]
    with np.load(file, allow_pickle=False) as written:
        np.testing.assert_array_equal(written["output"], expected)
    assert result["outputs"]["output"]["codes"] == expected.tolist()
    assert result["samples"] == 5 and "cycles" not in result
    assert [layer["name"] for layer in result["layers"]] == ["conv", "pool", "flatten", "fc"]


def test_codes_as_inputs_are_taken_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_onnx

    model = small_model(tmp_path)
    codes = np.random.default_rng(1).integers(-128, 128, (2, *SHAPE), np.int8)
    result = runs(capsys, ["run", model, "--inputs", small_inputs(tmp_path, input=codes)])
    expected = run_graph(load_onnx(model), {"input": codes})["output"]
    assert result["outputs"]["output"]["codes"] == expected.tolist()


def test_run_with_a_config_counts_cycles(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["run", small_model(tmp_path), "--config", small_config(tmp_path), "--samples", 3]
    result = runs(capsys, arguments)
    assert result["holds"] is True
    assert result["mismatches"] == {"emulator_machine": 0, "emulator_machine_counters": 0}
    assert len(result["cycles_per_sample"]) == 3
    assert sum(result["cycles_per_sample"]) == result["cycles"]["machine"] > 0
    assert set(result["counters"]) == {"overflowed", "clipped"}
    assert main([str(argument) for argument in arguments]) == HOLDS
    out = capsys.readouterr().out
    assert "conv" in out and "cycles per sample" in out and "agree" in out


def test_random_inputs_are_the_same_every_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path)
    assert runs(capsys, ["run", model]) == runs(capsys, ["run", model])


def test_json_file_is_the_same_as_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, file = small_model(tmp_path), tmp_path / "r.json"
    assert main(["run", str(model), "--json", str(file)]) == HOLDS
    assert "conv" in capsys.readouterr().out
    assert json.loads(file.read_text()) == runs(capsys, ["run", model])


def test_a_mismatch_is_status_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emulator.machine import Machine

    honest = Machine.run

    def wrong(self: Machine, *arguments: object, **options: object) -> object:
        result = honest(self, *arguments, **options)
        result.layers["fc"][0, 0] ^= 1
        return result

    monkeypatch.setattr(Machine, "run", wrong)
    arguments = ["run", small_model(tmp_path), "--config", small_config(tmp_path), "--samples", 2]
    result = runs(capsys, arguments, FAILS)
    assert result["holds"] is False and result["mismatches"]["emulator_machine"] == 1
    assert main([str(argument) for argument in arguments]) == FAILS
    assert "DIFFER" in capsys.readouterr().out


@pytest.mark.icarus
def test_simulate_agrees_with_the_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from rtl.simulation import ToolError, find_simulator

    try:
        find_simulator("icarus")
    except ToolError as error:
        pytest.skip(str(error))
    config = small_config(tmp_path, "rows = 2\ncolumns = 2\n")
    trace = tmp_path / "wave.fst"
    arguments = ["simulate", small_model(tmp_path), "--config", config, "--samples", 1]
    result = runs(capsys, [*arguments, "--simulator", "icarus", "--trace", trace])
    assert result["holds"] is True and result["simulator"] == "icarus"
    assert set(result["mismatches"].values()) == {0}
    assert {"machine_rtl", "machine_rtl_counters", "machine_rtl_memory"} <= set(result["mismatches"])
    assert result["cycles"]["machine"] == result["cycles"]["rtl"] > 0
    assert trace.stat().st_size > 0 and not list(tmp_path.glob(".*"))


def test_validate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = runs(capsys, ["validate", small_model(tmp_path), "--inputs", small_inputs(tmp_path)])
    assert result["holds"] is True
    assert "conv" in [layer["name"] for layer in result["layers"]]
    codes = small_inputs(tmp_path, input=np.zeros((1, *SHAPE), np.int8))
    fails(capsys, ["validate", small_model(tmp_path), "--inputs", codes], "'input'", "floats")


def test_validate_says_at_which_arithmetic_it_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arithmetic, verdict in (
        ({}, "all differences are explained by float32"),
        ({"accumulator_bits": 12}, "at ONNX Runtime's arithmetic, all differences are explained by float32"),
    ):
        assert main(["validate", str(small_model(tmp_path, **arithmetic))]) == HOLDS
        assert capsys.readouterr().out.splitlines()[-1] == verdict


def test_verilog(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "a.v"
    result = runs(capsys, ["verilog", small_config(tmp_path, "rows = 1\ncolumns = 2\n"), "-o", file])
    assert "module accelerator(" in file.read_text()
    assert result["config"] == AcceleratorConfig(rows=1, columns=2).as_dict()
    assert "accelerator" in result["modules"]


def test_program_for_another_config(tmp_path: Path) -> None:
    from codesign.execution import Execution, load_inputs, load_model

    graph, config = load_model(small_model(tmp_path), load_config(small_config(tmp_path)))
    execution = Execution(graph, config, load_inputs(graph, None, 1))
    execution.compile()
    execution.config = AcceleratorConfig()
    with pytest.raises(ValueError, match=f"hash {config.hash()[:12]}.*hash {AcceleratorConfig().hash()[:12]}"):
        execution.run_machine()


# Benchmarks.


def rows(holds: bool) -> list[dict[str, object]]:
    return [
        {"name": "fast", "value": 1.25, "unit": "×", "target": 1.5, "holds": holds},
        {"name": "shown", "value": 3.0, "unit": "s", "target": None, "holds": None},
    ]


@pytest.mark.parametrize("holds", [True, False])
def test_benchmark_status_is_that_of_the_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, holds: bool
) -> None:
    monkeypatch.setattr("codesign.benchmark_emulator.rows", lambda: rows(holds))
    assert runs(capsys, ["benchmark", "emulator"], HOLDS if holds else FAILS) == {"rows": rows(holds)}
    assert main(["benchmark"]) == (HOLDS if holds else FAILS)
    assert "fast" in capsys.readouterr().out


# Processes.


def process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from codesign.cli import main; main(['run', '--help']);"
        "heavy = {'torch', 'amaranth', 'onnx', 'numba', 'matplotlib', 'onnxruntime', 'sklearn'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = process(code)
    assert done.returncode == 0, done.stderr


def test_run_needs_neither_torch_nor_amaranth_nor_onnxruntime(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, amaranth=None, onnxruntime=None, cocotb=None, matplotlib=None);"
        "from codesign.cli import main;"
        f"sys.exit(main(['run', {str(small_model(tmp_path))!r}, '--config', {str(small_config(tmp_path))!r}]))"
    )
    done = process(code)
    assert done.returncode == HOLDS, done.stderr


def test_without_an_extra_the_sentence_names_it(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    code = (
        "import sys; sys.modules['amaranth'] = None; from codesign.cli import main;"
        f"sys.exit(main(['verilog', {str(config)!r}, '-o', {str(tmp_path / 'a.v')!r}]))"
    )
    done = process(code)
    assert done.returncode == ERROR
    assert done.stderr == (
        "lockstep: error: this command needs the package 'amaranth', which `pip install 'lockstep[rtl]'` installs\n"
    )


def test_an_interrupt_is_status_130_and_one_line(tmp_path: Path) -> None:
    code = (  # a background job starts with the signal ignored
        "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from codesign import cli; import codesign.app, codesign.commands.run;"
        "codesign.commands.run.run = lambda *_: (print('ready', flush=True), time.sleep(30));"
        "sys.exit(cli.main(['run', 'x.onnx']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == INTERRUPTED
        assert child.stderr.read() == "lockstep: interrupted\n"
