"""The commands: exit status, and JSON alone on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import FAILS, HOLDS, main
from emulator import AcceleratorConfig, load_config, run_graph
from tests.codesign.command import fails, runs
from tests.codesign.models import SHAPE, small_config, small_inputs, small_model


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


def test_the_machine_says_when_it_is_compiled(tmp_path: Path) -> None:
    from codesign.execution import Execution, load_model
    from codesign.inputs import load_inputs

    graph, config = load_model(small_model(tmp_path))
    done: list[int] = []
    Execution(graph, config, load_inputs(graph, None, 3)).run_machine(2, done.append)
    assert done == [0, 1, 2]


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
    assert result["profile"]["of"] == "machine"
    assert sum(row["cycles"] for row in result["profile"]["layers"]) == result["cycles"]["rtl"]
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
        ({}, "all differences are explained by ties of float32"),
        ({"accumulator_bits": 12}, "at ONNX Runtime's arithmetic, all differences are explained by ties of float32"),
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
    from codesign.execution import Execution, load_model
    from codesign.inputs import load_inputs

    graph, config = load_model(small_model(tmp_path), load_config(small_config(tmp_path)))
    execution = Execution(graph, config, load_inputs(graph, None, 1))
    execution.compile()
    execution.config = AcceleratorConfig()
    with pytest.raises(ValueError, match=f"hash {config.hash()[:12]}.*hash {AcceleratorConfig().hash()[:12]}"):
        execution.run_machine()


def rows(holds: bool) -> list[dict[str, object]]:
    return [
        {"name": "fast", "value": 1.25, "unit": "×", "target": 1.5, "holds": holds},
        {"name": "shown", "value": 3.0, "unit": "s", "target": None, "holds": None},
    ]


@pytest.mark.parametrize("holds", [True, False])
def test_benchmark_status_is_that_of_the_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, holds: bool
) -> None:
    monkeypatch.setattr("codesign.benchmarks.emulator.rows", lambda: rows(holds))
    assert runs(capsys, ["benchmark", "emulator"], HOLDS if holds else FAILS) == {"rows": rows(holds)}
    assert main(["benchmark", "emulator"]) == (HOLDS if holds else FAILS)
    assert "fast" in capsys.readouterr().out


def test_benchmarks_in_verilator_are_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("codesign.benchmarks.utilization.rows", lambda rtl=False: asked.append(rtl) or rows(True))
    runs(capsys, ["benchmark", "utilization"])
    runs(capsys, ["benchmark", "utilization", "--rtl"])
    assert asked == [False, True]
    fails(capsys, ["benchmark", "emulator", "--rtl"], "utilization")


def test_run_writes_a_timeline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, picture = tmp_path / "t.json", tmp_path / "t.svg"
    arguments = ["run", small_model(tmp_path), "--samples", 1, "--timeline", trace, "--timeline", picture]
    runs(capsys, arguments)
    assert json.loads(trace.read_text())["traceEvents"]  # of the default accelerator
    result = runs(capsys, [*arguments, "--config", small_config(tmp_path)])
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    assert max(event["ts"] + event["dur"] for event in events) <= result["cycles"]["machine"]
    assert {event["name"] for event in events} >= {
        "LOAD conv", "CONVOLVE conv", "REQUANTIZE conv", "REDUCE pool", "STORE pool", "CONVOLVE fc", "STORE fc",
    }  # fmt: skip
    assert result["under_way"]["convolve"] > 0 and "<svg" in picture.read_text()
    fails(capsys, ["run", small_model(tmp_path), "--config", small_config(tmp_path), "--timeline", "t.txt"], "'t.txt'")
