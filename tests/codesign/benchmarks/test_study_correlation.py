"""The correlation's arithmetic and its picture; the figures themselves are for `lockstep benchmark study`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from codesign.benchmarks.study import correlation, rows
from codesign.benchmarks.study.plot import alternative_text, correlation_plot
from codesign.benchmarks.study.points import MachineCycles, Point, machine_cycles, points
from codesign.benchmarks.utilization import CONFIG
from codesign.networks import gemm
from codesign.peers.scalesim import LayerCycles, Simulated
from codesign.peers.vela import Estimated
from tests.codesign.command import fails, runs

DATAFLOW = "weight_stationary"
MACHINE = MachineCycles({"a": 100, "b": 200, "c": 400}, 650)


def test_errors_are_signed_and_of_the_machine() -> None:
    made = points("tool", "net", DATAFLOW, {"b": 300, "a": 50, "pool": 7}, MACHINE)
    assert [(point.layer, point.error) for point in made] == [("a", -50), ("b", 50)]
    spread, whole = correlation._errors("tool", made)
    assert (spread["value"], spread["unit"], spread["holds"]) == ("-50 / +0 / +50", "%", None)
    assert spread["layers"]["b"] == {"cycles": 300, "machine": 200}
    assert whole["value"] == round(100 * (350 / 300 - 1), 3) and "2 layers" in whole["name"]


def test_the_machine_runs_each_product_layer_and_the_whole() -> None:
    graph = gemm(4, 8, 8, CONFIG.arithmetic)
    found = machine_cycles(graph, CONFIG, 8)
    assert found.layers == {"gemm": found.whole} and found.whole > 4


def test_times_are_compared_on_the_same_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = gemm(4, 8, 8, CONFIG.arithmetic)
    simulated = Simulated({"gemm": LayerCycles(total=50, with_prefetch=200, stalls=0)}, 3.0)
    monkeypatch.setattr(correlation, "installed", lambda name: True)
    monkeypatch.setattr(correlation, "run_scalesim", lambda layers, config: simulated)
    monkeypatch.setattr(correlation, "machine_seconds", lambda *given: [0.02, 0.03])
    made, table = correlation._scalesim(*correlation.TIMED, graph, MachineCycles({"gemm": 100}, 100))
    assert [(point.tool, point.error) for point in made] == [
        ("SCALE-Sim, incl. prefetch", 100),
        ("SCALE-Sim, total", -50),
    ]
    assert (table[-1]["value"], table[-1]["target"], table[-1]["holds"]) == (120, "≥ 100", True)
    monkeypatch.setattr(correlation, "machine_seconds", lambda *given: [0.04])
    assert correlation._scalesim(*correlation.TIMED, graph, MachineCycles({"gemm": 100}, 100))[1][-1]["holds"] is False


def test_vela_is_compared_layer_by_layer_and_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    estimated = Estimated({"gemm": 110, "pool": 5}, {"gemm": 256}, 115, 0.01)
    monkeypatch.setattr(correlation, "installed", lambda name: True)
    monkeypatch.setattr(correlation, "run_vela", lambda data, latency: estimated)
    graph = gemm(4, 8, 8, CONFIG.arithmetic)
    made, table = correlation._vela("net", graph, MachineCycles({"gemm": 100}, 230))
    assert [point.error for point in made] == [pytest.approx(10)]
    assert "other hardware" in table[0]["name"] and [line["value"] for line in table[1:]] == [10, -50, 10]


def test_a_cycle_between_rtl_and_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: a simulator that takes a cycle more, or none."""
    graph = gemm(4, 8, 8, CONFIG.arithmetic)
    machine = MachineCycles({"gemm": 100}, 100)
    for more, holds in ((0, True), (1, False), (-1, False)):
        result = SimpleNamespace(cycles=100 + more)
        monkeypatch.setattr("rtl.simulate", lambda *given, result=result, **options: result)
        made, (line,) = correlation._rtl("net", graph, machine)
        assert (line["value"], line["holds"]) == (2 * abs(more), holds)
        assert made[0].cycles == 100 + more


def test_without_the_packages_nothing_holds_or_misses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(correlation, "installed", lambda name: False)
    monkeypatch.setattr(correlation, "_rtl", lambda *given: ([], []))
    (tmp_path / "mlperf_tiny_x.tflite").touch()
    table = correlation.rows(None, tmp_path)
    said = "not run: pip install 'lockstep[correlation]'"
    assert {line["value"] for line in table} == {said} and {line["holds"] for line in table} == {None}
    assert sum(line["target"] == "≥ 100" for line in table) == 1
    assert correlation._files(None)[0]["value"].startswith("not run: --cases")


def test_what_fails_is_a_sentence_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise ValueError("it does not run")

    graph = gemm(4, 8, 8, CONFIG.arithmetic)
    monkeypatch.setattr(correlation, "installed", lambda name: True)
    monkeypatch.setattr(correlation, "machine_seconds", lambda *given: [0.01])
    for name in ("run_scalesim", "run_vela"):
        monkeypatch.setattr(correlation, name, refuse)
    machine = MachineCycles({"gemm": 100}, 100)
    for made, table in (
        correlation._scalesim(*correlation.TIMED, graph, machine),
        correlation._vela("net", graph, machine),
    ):
        assert made == [] and {(line["value"], line["holds"]) for line in table} == {("not run: it does not run", None)}


def test_the_picture_says_what_it_shows(tmp_path: Path) -> None:
    made = points("SCALE-Sim", "net", DATAFLOW, {"a": 50, "b": 300, "c": 400}, MACHINE)
    exact = points("RTL", "net", DATAFLOW, MACHINE.layers, MACHINE)
    text = alternative_text(made + exact)
    assert "of 3 layers" in text and "SCALE-Sim is off by -50 to +50 percent, +0 in the median." in text
    assert "RTL lies on the diagonal, with all of its 3 layers." in text
    for name in ("plot.svg", "plot.png", "again.svg"):
        assert correlation_plot(made + exact, tmp_path / name) == text
    svg = (tmp_path / "plot.svg").read_text()
    assert ElementTree.fromstring(svg).findtext("{http://www.w3.org/2000/svg}title") and text in svg
    assert text.encode() in (tmp_path / "plot.png").read_bytes()
    assert svg == (tmp_path / "again.svg").read_text()
    wrong = [*made, Point("RTL", "net", DATAFLOW, "a", 101, 100)]
    assert "RTL is off by +1 to +1 percent" in alternative_text(wrong)
    with pytest.raises(ValueError, match=r"none\.svg: there must be a tool to draw"):
        correlation_plot([], tmp_path / "none.svg")


def test_options_reach_the_rows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, list[dict[str, object]]] = {"study": [], "qat": []}
    for name, module in (("study", "codesign.benchmarks.study.rows"), ("qat", "codesign.benchmarks.qat")):
        monkeypatch.setattr(f"{module}.rows", lambda name=name, **options: given[name].append(options) or [])
    plot = tmp_path / "p.svg"
    runs(capsys, ["benchmark", "study"])
    runs(capsys, ["benchmark", "study", "--plot", plot, "--cases", tmp_path])
    runs(capsys, ["benchmark", "qat", "--plot", plot])
    assert given == {"study": [{}, {"plot": plot, "cases": tmp_path}], "qat": [{"plot": plot}]}
    fails(capsys, ["benchmark", "qat", "study", "--plot", plot], "--plot", "qat", "study")
    fails(capsys, ["benchmark", "emulator", "--plot", plot], "--plot", "qat or study", "emulator")


def test_options_are_checked_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a folder"):
        rows.rows(cases=tmp_path / "absent")
    with pytest.raises(ValueError, match=r"not 'p\.pdf'"):
        rows.rows(plot=tmp_path / "p.pdf")
