"""The timeline: what was executed, as a trace and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.execution.timeline import Span, busy_cycles, chrome_trace, spans, tracks, write_timeline
from codesign.execution.timeline_figure import timeline_figure
from emulator.instructions import Opcode, Unit, instruction

HALT = instruction(Opcode.HALT)
ADDER_FIELDS = {"a_multiplier": 1, "b_multiplier": 2, "shift": 3, "subtract": 1}
RUN = [
    Span(0, Opcode.LOAD, Unit.LOAD, 5, 10),
    Span(1, Opcode.CONVOLVE, Unit.CONVOLVE, 10, 30),
    Span(2, Opcode.LOAD, Unit.LOAD, 12, 13),
    Span(3, Opcode.REQUANTIZE, Unit.POST_PROCESS, 31, 41),
]


def test_what_was_not_executed_is_left_out() -> None:
    timeline = np.array([[-1, -1, -1], [2, 4, 9], [0, 3, -1]])
    assert spans([HALT, HALT, HALT], timeline) == [Span(1, Opcode.HALT, Unit.POST_PROCESS, 4, 9)]


def test_trace_has_a_thread_a_unit_and_an_event_an_instruction() -> None:
    trace = chrome_trace(RUN, name="m.onnx")
    events = trace["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {10 * unit.value: unit.name for unit in Unit}
    shown = [event for event in events if event["ph"] == "X"]
    assert [(e["tid"], e["ts"], e["dur"], e["name"], e["args"]["index"]) for e in shown] == [
        (0, 5, 5, "LOAD", 0),
        (10, 10, 20, "CONVOLVE", 1),
        (0, 12, 1, "LOAD", 2),
        (20, 31, 10, "REQUANTIZE", 3),
    ]


def test_trace_shows_the_fields() -> None:
    adder = instruction(Opcode.ADDER, **ADDER_FIELDS)
    trace = chrome_trace([Span(0, Opcode.ADDER, Unit.POST_PROCESS, 0, 1)], [adder])
    (event,) = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert event["args"] == {"index": 0, **ADDER_FIELDS}


def test_events_name_their_layers_and_the_run_has_a_thread_of_layers() -> None:
    timeline = np.array([[0, 2, 6], [2, 4, 9], [-1, -1, -1]])
    adder = instruction(Opcode.ADDER, **ADDER_FIELDS)
    executed = spans([adder, adder, HALT], timeline, ("conv", "sum of both", ""))
    assert [span.layer for span in executed] == ["conv", "sum of both"]
    layers = [("conv", 0, 6), ("sum of both", 6, 10)]
    events = chrome_trace(executed, [adder, adder, HALT], layers=layers)["traceEvents"]
    (thread,) = [e["tid"] for e in events if e["name"] == "thread_name" and e["args"]["name"] == "layers"]
    (order,) = [e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index" and e["tid"] == thread]
    assert order < min(unit.value for unit in Unit)
    shown = [event for event in events if event["ph"] == "X"]
    assert [(e["name"], e["ts"], e["dur"]) for e in shown if e["tid"] == thread] == [
        ("conv", 0, 6),
        ("sum of both", 6, 4),
    ]
    assert [(e["name"], e["args"]["layer"]) for e in shown if e["tid"] != thread] == [
        ("ADDER conv", "conv"),
        ("ADDER sum of both", "sum of both"),
    ]


def test_picture_names_the_layers_that_have_room(tmp_path: Path) -> None:
    layers = [("encoder.first", 0, 30), ("x", 30, 31), ("decoder.last", 31, 60)]
    figure = timeline_figure(RUN, "m.onnx", layers)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["encoder.first", "x", "decoder.last"]
    assert axes.get_xlim() == (0, 60) and axes.get_yticklabels()[-1].get_text() == "layers"
    assert not timeline_figure(RUN, "m.onnx").axes[0].texts
    (crowded,) = timeline_figure(RUN, "m.onnx", [("encoder.first", 0, 1), ("decoder.last", 1, 60)]).axes
    assert [text.get_text() for text in crowded.texts] == ["decoder.last"]


def test_an_instruction_that_is_prepared_meanwhile_has_a_thread_of_its_own() -> None:
    two = [Span(0, Opcode.CONVOLVE, Unit.CONVOLVE, 10, 30), Span(1, Opcode.CONVOLVE, Unit.CONVOLVE, 20, 50)]
    shown = [event for event in chrome_trace(two)["traceEvents"] if event["ph"] == "X"]
    assert [event["tid"] for event in shown] == [10, 11]
    assert busy_cycles(two)[Unit.CONVOLVE] == 40


def test_busy_cycles() -> None:
    assert busy_cycles(RUN) == {Unit.LOAD: 6, Unit.CONVOLVE: 20, Unit.POST_PROCESS: 10, Unit.STORE: 0}


def test_files(tmp_path: Path) -> None:
    for name in ("t.json", "t.svg", "t.png"):
        write_timeline(tmp_path / name, RUN)
    assert json.loads((tmp_path / "t.json").read_text()) == chrome_trace(RUN)
    assert "<svg" in (tmp_path / "t.svg").read_text()
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    write_timeline(tmp_path / "t.svg", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "t.png", "t.svg"]
    with pytest.raises(ValueError, match=r"\*\.json, \*\.png, \*\.svg, not 't\.txt'"):
        write_timeline(tmp_path / "t.txt", RUN)


def test_what_overlaps_in_a_unit_has_tracks_of_its_own() -> None:
    spans = [Span(2, Opcode.CONVOLVE, Unit.CONVOLVE, 50, 90), Span(1, Opcode.CONVOLVE, Unit.CONVOLVE, 0, 60)]
    spans += [Span(3, Opcode.CONVOLVE, Unit.CONVOLVE, 60, 99), Span(4, Opcode.LOAD, Unit.LOAD, 10, 20)]
    assert [(span.index, track) for span, track in tracks(spans)] == [(1, 0), (4, 0), (2, 1), (3, 0)]
