"""`StudyEvaluator`: which tasks a point has, what their keys depend on, and what their outcomes are worth."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.datasets import load_builtin
from codesign.energy.table import BUILT_IN
from codesign.networks import NETWORKS
from codesign.study.definition import Point, Study, point, points, study_from_dict
from codesign.study.engine.task import Outcome
from codesign.study.evaluation import StudyEvaluator
from codesign.study.evaluation.sources import SOURCES, sources
from codesign.study.evaluation.tasks import KINDS
from compiler import compile_graph, load_onnx
from emulator import Arithmetic, Machine, run_graph
from tests.codesign.study.evaluation.evaluated import evaluated, first

TRAINED = {
    "data": {"builtin": "digits8"},
    "training": {"recipe": "ptq", "float_epochs": 1},
    "space": {"rows": [4, 8], "arithmetic": {"weight_bits": [8, 4]}},
    "objectives": ["accuracy", "cycles"],
}


def tiny(**sections: Any) -> Study:
    return study_from_dict({"network": {"builtin": "ResNet-8"}, "space": {"rows": [4, 8]}, "objectives": ["cycles"],
                            **sections})  # fmt: skip


def test_a_point_of_a_built_in_network_is_worth_what_the_machine_counts() -> None:
    study = tiny(hardware={"columns": 4}, memory={"latency": 33}, device={"clock_mhz": 50})
    at = point(study, {"rows": 8})
    evaluator = pickle.loads(pickle.dumps(StudyEvaluator(study)))
    done = evaluated(study, at, {})
    values, details = evaluator.values(at, done), evaluator.details(at, done)
    program = compile_graph(NETWORKS["ResNet-8"](Arithmetic()), at.config)
    machine = Machine(at.config, latency=33)
    (record,) = machine.execute([program.image], program.program_address, program.program_bytes)
    numbers = {name: value.number for name, value in values.items()}
    assert numbers["cycles"] == record.cycles
    assert numbers["bytes_moved"] == record.counters["bytes_read"] + record.counters["bytes_written"]
    assert numbers["utilization"] == 12_501_632 / (record.cycles * 8 * 4)  # MMAC of MLPerf Tiny's ResNet-8
    assert numbers["memory_bytes"] == len(program.image)
    assert numbers["program_bytes"] == 32 * len(program.instructions)
    assert numbers["scratchpad_bytes"] == (16 + 16 + 8 + 8 + 8) * 1024
    assert numbers["latency_us"] == record.cycles / 50
    assert sum(row["cycles"] for row in details.layers) == record.cycles
    spent = sum(sum(row["energy"].values()) for row in details.layers)
    assert spent / 1e6 == pytest.approx(numbers["energy_uj"], rel=1e-12)  # HALT's fetch included
    kinds = {name: value.kind for name, value in values.items() if value.kind != "exact"}
    assert kinds == {"energy_uj": "model", **dict.fromkeys(("luts", "ffs", "dsps", "brams", "fits"), "estimate")}
    assert max(end for _, _, _, end in details.timeline) <= record.cycles
    assert {unit for unit, *_ in details.timeline} == {"load", "convolve", "post_process", "store"}


def test_a_worker_that_runs_programs_needs_no_torch(tmp_path: Path) -> None:
    study = tiny()
    (tmp_path / "work").write_bytes(pickle.dumps((StudyEvaluator(study), first(study)["run"])))
    script = (
        "import pathlib, pickle, re, sys\n"
        "evaluator, task = pickle.load(open(sys.argv[1], 'rb'))\n"
        "evaluator.prepare()\n"
        "print(evaluator.execute(task).values['cycles'])\n"
        "print(*sorted({'torch', 'sklearn', 'matplotlib', 'amaranth'} & set(sys.modules)))\n"
        # Not ru_maxrss, which begins with what the process that started this one had.
        r"print(re.search(r'VmHWM:\s+(\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "work")]
    cycles, loaded, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[
        :3
    ]
    assert int(cycles) > 100_000 and loaded == ""
    assert int(kilobytes) < 1 << 20


def test_keys_depend_on_what_the_outcome_depends_on_and_on_nothing_else() -> None:
    study = study_from_dict(TRAINED)
    four, narrow, eight = (
        point(study, {"rows": rows, "arithmetic.weight_bits": bits}) for rows, bits in ((4, 8), (4, 4), (8, 8))
    )
    evaluator = StudyEvaluator(study)
    state = Outcome({}, {"float.npz": b"state"})
    model = Outcome({"structure": "s"}, {"model.onnx": b"model"})

    def keys(study: Study, at: Point, done: Mapping[str, Outcome]) -> dict[str, str]:
        return {role: task.key("") for role, task in StudyEvaluator(study).tasks(at, done).items()}

    assert list(keys(study, four, {})) == ["float"]
    trained = {"float": state}
    assert keys(study, four, {}) == keys(study, narrow, {}) == keys(study, eight, {})
    assert keys(study, four, trained) == keys(study, eight, trained) != keys(study, narrow, trained)
    ready = {**trained, "train": model}
    assert list(keys(study, four, ready)) == ["run"]
    assert len({keys(study, at, ready)["run"] for at in (four, narrow, eight)}) == 3
    other = {**trained, "train": Outcome({"structure": "s"}, {"model.onnx": b"other weights"})}
    assert keys(study, four, other) == keys(study, four, ready)
    test = evaluator.confirmation(four, {**ready, "run": Outcome({})})
    assert list(test) == ["test"] and test["test"].files == {"model": b"model"}

    assert study.training is not None
    epochs = replace(study, training=replace(study.training, options={**study.training.options, "epochs": 99}))
    for same in (
        epochs,  # a recipe that does not train does not look at them
        replace(study, energy_table=Path("other.toml")),
        replace(study, clock_mhz=9.0, name="other", device="LFE5U-25F"),
    ):
        assert keys(same, four, {}) == keys(study, four, {})
        assert keys(same, four, trained) == keys(study, four, trained)
        assert keys(same, four, ready) == keys(study, four, ready)
    latency = replace(study, latency=99)
    assert keys(latency, four, trained) == keys(study, four, trained)
    assert keys(latency, four, ready) != keys(study, four, ready)
    assert study.data is not None
    for changed in (
        replace(study, seed=1),
        replace(study, data=replace(study.data, digest="changed")),
        replace(study, network=replace(study.network, digest="changed")),
        replace(study, training=replace(study.training, options={**study.training.options, "batch": 32})),
    ):
        assert keys(changed, four, {}) != keys(study, four, {})
        assert keys(changed, four, trained) != keys(study, four, trained)
        assert keys(changed, four, ready) == keys(study, four, ready)
    budget = replace(four, weight_budget=3000)
    assert keys(study, budget, trained) != keys(study, four, trained)
    qat = [
        replace(study, training=replace(study.training, recipe="qat", options={**study.training.options, "epochs": n}))
        for n in (3, 4)
    ]
    trains = replace(four, recipe="qat")
    assert keys(qat[0], trains, {}) == keys(qat[1], trains, {}) == keys(study, four, {})
    assert keys(qat[0], trains, trained) != keys(qat[1], trains, trained)
    assert keys(qat[0], trains, trained) != keys(qat[0], four, trained) == keys(qat[1], four, trained)


def test_what_is_static_goes_by_the_layers_cycles(tmp_path: Path) -> None:
    table = tmp_path / "table.toml"
    text = BUILT_IN.read_text(encoding="utf-8").replace("static_pj_per_cycle = 0.0", "static_pj_per_cycle = 2.5")
    table.write_text(text, encoding="utf-8")
    study = tiny(hardware={"columns": 4})
    at = point(study, {"rows": 8})
    evaluator = StudyEvaluator(replace(study, energy_table=table))
    done = evaluated(study, at, {})
    layers = evaluator.details(at, done).layers
    assert [row["energy"]["static"] for row in layers] == [2.5 * row["cycles"] for row in layers]
    spent = sum(sum(row["energy"].values()) for row in layers)
    assert spent / 1e6 == pytest.approx(evaluator.values(at, done)["energy_uj"].number, rel=1e-12)


@pytest.mark.parametrize("budget", [1 << 20, 2500])
def test_layers_tell_the_bits_that_they_are_given(budget: int) -> None:
    study = study_from_dict({**TRAINED, "training": {"recipe": "ptq", "float_epochs": 0}, "space": {"rows": [4]}})
    at = replace(next(points(study)), weight_budget=budget)
    done = evaluated(study, at, {})
    rows = StudyEvaluator(study).details(at, done).layers
    graph = loaded(done["train"].files["model.onnx"], at.config.arithmetic)
    weights = {node.name: node.weight for node in graph.nodes if hasattr(node, "weight")}
    assert list(weights) == ["conv1", "conv2", "conv3", "head"]
    told = {name: row["weight_bits"] for name in weights for row in rows if name in row["nodes"]}
    for name, bits in told.items():  # codes are symmetric, and calibration puts the largest at the bound
        assert np.abs(weights[name]).max() == (1 << bits - 1) - 1, name
    found = StudyEvaluator(study).values(at, done)["weight_bytes"].number
    assert found == sum(-(-weights[name].size * bits // 8) for name, bits in told.items()) <= budget
    assert set(told.values()) == {8} if budget > 2500 else len(set(told.values())) > 1
    assert all(row["activation_bits"] == 8 for row in rows if "weight_bits" in row)


def test_after_a_failure_there_is_nothing_more_to_do() -> None:
    study = study_from_dict(TRAINED)
    failed = {"float": Outcome({}, failure="no")}
    assert StudyEvaluator(study).tasks(next(points(study)), failed) == {}
    assert StudyEvaluator(study).confirmation(next(points(study)), failed) == {}
    assert "cycles" not in StudyEvaluator(study).values(next(points(study)), failed)


def test_a_trained_point_has_the_accuracy_of_its_own_arithmetic() -> None:
    study, store = study_from_dict(TRAINED), dict[str, Outcome]()
    every = {tuple(at.choices.values()): (at, evaluated(study, at, store)) for at in points(study)}
    assert len(store) == 1 + 2 + 4 + 2  # float networks, trainings, runs, tests
    digits = load_builtin("digits8")
    for (rows, bits), (at, done) in every.items():
        assert not any(outcome.failure for outcome in done.values())
        details = StudyEvaluator(study).details(at, done)
        values = StudyEvaluator(study).values(at, done)
        arithmetic = Arithmetic(weight_bits=bits)
        assert at.config.arithmetic == arithmetic and at.config.rows == rows
        model = done["train"].files["model.onnx"]
        assert details.files == {"model.onnx": model}
        graph = loaded(model, arithmetic)
        for split, found in (("validation", values["accuracy"].number), ("test", details.test_accuracy)):
            (output,) = run_graph(graph, {"input": getattr(digits, f"{split}_inputs")}).values()
            assert found == np.mean(output.argmax(axis=1) == getattr(digits, f"{split}_labels"))
        weights = [node.weight.size for node in graph.nodes if hasattr(node, "weight")]
        assert values["weight_bytes"].number == sum(-(-size * bits // 8) for size in weights)
        program = compile_graph(graph, at.config)
        (record,) = Machine(at.config).execute([program.image], program.program_address, program.program_bytes)
        assert values["cycles"].number == record.cycles


def loaded(model: bytes, arithmetic: Arithmetic) -> Any:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return load_onnx(file.name, arithmetic)


def test_every_kind_has_sources_that_are_there() -> None:
    assert set(SOURCES) == set(KINDS)
    assert len({sources(kind) for kind in ("run", "train", "accuracy")}) == 3
    root = Path(__file__).parents[4]
    for places in SOURCES.values():
        for place in places:
            assert (root / place).exists() or version(place), place
