"""The benchmark of training as a whole: its options, its rows in order, and what is not run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codesign.benchmarks import qat as benchmark
from codesign.benchmarks import qat_accuracy, qat_datasets, qat_step, qat_step_ratios, qat_widths
from codesign.benchmarks.qat_datasets import DATASETS
from codesign.benchmarks.rows import row
from codesign.cli import FAILS, HOLDS
from tests.codesign.command import fails, runs
from tests.codesign.datasets.writers import write_mnist


def test_rows_that_are_not_run_are_neither_held_nor_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    not_run = qat_datasets.rows(DATASETS["mnist"], None)
    assert [(r["value"], r["target"], r["holds"]) for r in not_run] == [
        ("not run", "≤ 0.3", None),
        ("not run", "≤ 1.5", None),
    ]
    monkeypatch.setattr("codesign.benchmarks.qat.rows", lambda: not_run)
    assert runs(capsys, ["benchmark", "qat"], HOLDS) == {"rows": not_run}
    missed = row("accuracy lost", 2.0, "points", "≤ 0.3", False)
    monkeypatch.setattr("codesign.benchmarks.qat.rows", lambda: [*not_run, missed])
    runs(capsys, ["benchmark", "qat"], FAILS)


def test_options_reach_the_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[dict[str, Path]] = []
    monkeypatch.setattr("codesign.benchmarks.qat.rows", lambda **options: given.append(options) or [])
    runs(capsys, ["benchmark", "qat"])
    options = {"mnist": "--mnist", "cifar10": "--cifar10", "speech_commands": "--speech-commands", "plot": "--plot"}
    assert set(options) - {"plot"} == set(DATASETS)
    for name, option in options.items():
        runs(capsys, ["benchmark", "qat", option, tmp_path / name])
        assert given[-1] == {name: tmp_path / name}
        fails(capsys, ["benchmark", "emulator", option, tmp_path], option, "qat", "emulator")
    assert given[0] == {} and len(given) == 5


@pytest.mark.parametrize("option", ["--mnist", "--cifar10", "--speech-commands"])
def test_a_folder_without_the_files_is_named_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    fails(capsys, ["benchmark", "qat", option, tmp_path / "absent"], str(tmp_path / "absent"), "read from")


def test_a_plot_that_cannot_be_written_is_named_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fails(capsys, ["benchmark", "qat", "--plot", tmp_path / "p.pdf"], "p.pdf", *qat_widths.SUFFIXES)
    fails(capsys, ["benchmark", "qat", "--plot", tmp_path / "absent" / "p.svg"], "absent", "does not exist")


def test_all_rows_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The parts have tests of their own; here each is a row."""
    found = qat_widths.Sweep(99.0, {way: {32: 99.0, 12: 98.0} for way in qat_widths.WAYS}, 1, 0)
    monkeypatch.setattr(qat_step, "rows", lambda: [row("step", 1.0, "×")])
    monkeypatch.setattr(qat_step_ratios, "rows", lambda: [])
    monkeypatch.setattr(qat_accuracy, "rows", lambda data: [row("accuracy", len(data.test_labels), "")])
    monkeypatch.setattr(qat_widths, "sweep", lambda data: found)
    write_mnist(tmp_path, "train", [bytes(784)] * 2, [0, 1], packed=False)
    write_mnist(tmp_path, "t10k", [bytes(784)], [0], packed=False)
    monkeypatch.setitem(DATASETS, "mnist", replace(DATASETS["mnist"], float_epochs=1, qat_epochs=1))
    table = benchmark.rows(plot=tmp_path / "p.svg", mnist=tmp_path)
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")
    assert [r["name"] for r in table[:2]] == ["step", "accuracy"] and table[1]["value"] == 360
    assert table[2 : 2 + len(qat_widths.rows(found))] == qat_widths.rows(found)
    last = [(r["name"].split(",")[0], r["value"] == "not run") for r in table[-7:]]
    assert last == [("MNIST", False)] * 3 + [("CIFAR-10", True)] * 2 + [("Speech Commands", True)] * 2
