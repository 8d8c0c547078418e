"""Several networks in one study: each runs once, and a point is worth what all of them take together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesign.networks import GROUPS, NETWORKS
from codesign.study.definition import Study, point, study_from_dict
from codesign.study.engine.task import Outcome
from codesign.study.evaluation import StudyEvaluator
from codesign.study.evaluation.several import joined, run_roles, whole_run
from compiler import compile_graph
from emulator import Machine

PAIR = ["DS-CNN", "autoencoder"]


def study_of(builtin: Any) -> Study:
    table = {"network": {"builtin": builtin}, "space": {"rows": [4, 8]}, "objectives": ["cycles"]}
    return study_from_dict(table)


def test_a_point_is_worth_the_sum_of_its_networks() -> None:
    study = study_of(PAIR)
    at = point(study, {"rows": 8})
    evaluator = StudyEvaluator(study)
    tasks = evaluator.tasks(at, {})
    done = {role: evaluator.execute(task) for role, task in tasks.items()}
    assert evaluator.tasks(at, done) == {}
    values = {name: value.number for name, value in evaluator.values(at, done).items()}

    programs = [compile_graph(NETWORKS[name](at.config.arithmetic), at.config) for name in PAIR]
    machine = Machine(at.config)
    records = [machine.execute([one.image], one.program_address, one.program_bytes)[0] for one in programs]
    cycles = [record.cycles for record in records]
    assert values["cycles"] == sum(cycles)
    assert values["bytes_moved"] == sum(r.counters["bytes_read"] + r.counters["bytes_written"] for r in records)
    assert values["memory_bytes"] == max(len(one.image) for one in programs)
    assert values["program_bytes"] == max(32 * len(one.instructions) for one in programs)
    macs = 2_656_768 + 264_192  # of DS-CNN and of the autoencoder
    assert values["utilization"] == macs / (sum(cycles) * 64)
    alone = []
    for name in PAIR:
        single = study_of(name)
        own = {"run": done[f"run {name}"]}
        alone.append({measure: value.number for measure, value in StudyEvaluator(single).values(at, own).items()})
    assert values["weight_bytes"] == sum(one["weight_bytes"] for one in alone)
    assert abs(values["energy_uj"] - sum(one["energy_uj"] for one in alone)) < 1e-9 * values["energy_uj"]

    details = evaluator.details(at, done)
    assert sum(row["cycles"] for row in details.layers) == sum(cycles)
    assert all(row["cycles"] == row["end"] - row["start"] for row in details.layers)
    first = [row for row in details.layers if row["name"].startswith("DS-CNN: ")]
    assert sum(row["cycles"] for row in first) == cycles[0] == first[-1]["end"]
    assert {row["name"].split(": ")[0] for row in details.layers} == set(PAIR)
    assert first[0]["nodes"][0] == "DS-CNN: conv"
    names = {row["name"] for row in details.layers}
    assert {layer for _, layer, _, _ in details.timeline} == names
    assert min(start for _, layer, start, _ in details.timeline if layer.startswith("autoencoder")) >= cycles[0]


def test_networks_are_tasks_of_their_own() -> None:
    at = point(study_of(PAIR), {"rows": 8})
    alone = StudyEvaluator(study_of("autoencoder")).tasks(at, {})["run"].key("")
    every = StudyEvaluator(study_of("MLPerf-Tiny")).tasks(at, {})
    assert list(every) == [f"run {name}" for name in GROUPS["MLPerf-Tiny"]]
    assert every["run autoencoder"].key("") == alone
    pair = StudyEvaluator(study_of(PAIR)).tasks(at, {})
    assert {task.key("") for task in pair.values()} < {task.key("") for task in every.values()}
    assert StudyEvaluator(study_of(["autoencoder"])).tasks(at, {})["run"].key("") == alone


def test_a_point_is_worth_nothing_until_all_have_run() -> None:
    study = study_of(PAIR)
    at = point(study, {"rows": 8})
    good, bad = Outcome({"cycles": 1}), Outcome({}, failure="no")
    for done in ({}, {"run DS-CNN": good}, {"run DS-CNN": good, "run autoencoder": bad}):
        assert whole_run(study, done) == {}
        assert "cycles" not in StudyEvaluator(study).values(at, done)


def test_what_belongs_to_no_layer_is_counted_for_each_network() -> None:
    run = {
        "cycles": 10, "macs": 1, "weight_bytes": 1, "memory_bytes": 1, "program_bytes": 1, "telemetry": {},
        "layers": [], "accesses": {"": {"x": 1}, "a": {"x": 2}}, "timeline": [],
    }  # fmt: skip
    found = joined({"one": run, "two": run})
    assert found["accesses"] == {"one": {"x": 1}, "one: a": {"x": 2}, "two": {"x": 1}, "two: a": {"x": 2}}


def test_files_are_several_networks_too(tmp_path: Path) -> None:
    for name, content in (("a.onnx", b"one"), ("b.onnx", b"one"), ("c.tflite", b"other")):
        (tmp_path / name).write_bytes(content)
    files = ["a.onnx", "b.onnx", "c.tflite"]
    table = {"network": {"file": files}, "space": {"rows": [4]}, "objectives": ["cycles"]}
    study = study_from_dict(table, tmp_path)
    assert [network.name for network in run_roles(study).values()] == files
    a, b, c = StudyEvaluator(study).tasks(point(study, {"rows": 4}), {}).values()
    assert a.key("") == b.key("") != c.key("")  # of equal contents: run once
    assert (a.files, c.files) == ({"model": b"one"}, {"model": b"other"})
    with pytest.raises(ValueError, match=r"^\[data\] must be left out with several networks"):
        study_from_dict({**table, "data": {"builtin": "digits8"}}, tmp_path)
