"""``lockstep compile``: its files hold the program, and a driver that follows them gets the model's outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.reference.memory_map import memory_map_text, spans
from codesign.reference.register_sequence import register_sequence, registers_text
from emulator import AcceleratorConfig, Tensor
from emulator.instructions import COUNTER_ROWS, Opcode, instruction
from emulator.program import CounterBlock, Program, Region
from emulator.registers import REGISTERS
from tests.codesign.command import fails, runs
from tests.codesign.models import small_config, small_model
from tests.emulator.graph.test_run_version_2 import Normalize

CONFIG = AcceleratorConfig(rows=4, columns=4)


def program() -> Program:
    """A program that only halts, with a map of every kind of region."""
    halt = instruction(Opcode.HALT)
    x = Tensor(name="x", shape=(2, 3, 4), scale=0.5, zero_point=-3)
    y = Tensor(name="y", shape=(5,), scale=0.25, zero_point=7, y_min=0, y_max=100)
    part = Tensor(name="part", shape=(2, 3, 2), scale=0.5, zero_point=-3)
    return Program(
        config_hash=CONFIG.hash(),
        instructions=(halt,),
        image=halt.encode() + bytes(4096 - 32),
        inputs={"x": Region(64, x)},
        tensors={"y": Region(128, y), "part": Region(66, part, (12, 4, 1))},
        outputs={"logits": "y"},
        counters=(CounterBlock(256, "y", 0, 4, 5),),
        columns=4,
        macs=9,
    )


def test_spans_cover_the_region_once() -> None:
    found = spans(program())
    covered = 0
    for span in found:
        assert span.address <= covered
        covered = max(covered, span.address + span.size)
    assert covered == 4096
    kinds = {span.name: (span.kind, span.address, span.size) for span in found if span.kind != "constants"}
    assert kinds == {
        "program": ("program", 0, 32),
        "x": ("input", 64, 24),
        "part": ("layer", 66, 22),
        "y": ("layer", 128, 5),
        "y, channels 0 to 3, block 1": ("counters", 256, 4 * COUNTER_ROWS),
    }


def test_map_in_words_names_inputs_and_outputs() -> None:
    text = memory_map_text(program(), CONFIG, "m.onnx")
    assert "x: 24 bytes at 0x40; 2 lines × 3 pixels × 4 channels; scale 0.5, zero point -3, codes -128 to 127" in text
    assert "logits: 5 bytes at 0x80; 5 codes; scale 0.25, zero point 7, codes 0 to 100" in text
    assert "layer part: 2 lines × 3 pixels × 2 channels at distances of 12, 4, 1 bytes, scale 0.5, zero -3" in text
    assert CONFIG.hash() in text and max(len(line) for line in text.splitlines() if line[:2] != "  ") <= 120


def test_map_of_sums_and_of_what_the_host_computes() -> None:
    sums = Tensor(name="sums", shape=(5,), scale=0.25, zero_point=0)
    tail = Normalize(("logits",), ("real", "best"))
    tensors = {"sums": Region(1024, sums, planes=3)}
    changed = replace(program(), tensors=tensors, outputs={"logits": "sums"}, counters=(), tail=tail)
    (span,) = (span for span in spans(changed) if span.name == "sums")
    assert (span.size, span.as_dict()["sum_bytes"]) == (15, 3)
    text = memory_map_text(changed, CONFIG, "m.onnx")
    assert "\n  logits: 15 bytes at 0x400; 5, sums of 3 bytes\n" in text
    assert "The host computes behind the outputs what makes real, best of logits." in text
    image = bytearray(4096)
    for plane, values in enumerate(([1, 2, 3, 4, 255], [0, 0, 1, 255, 255], [0, 128, 0, 127, 255])):
        image[1024 + 5 * plane : 1029 + 5 * plane] = bytes(values)
    assert changed.read(bytes(image), "sums").tolist() == [[1, 2 - (128 << 16), 259, 0x7FFF04, -1]]


def test_register_sequence_starts_last_and_uses_the_declared_offsets() -> None:
    sequence = register_sequence(program(), 0x8000_0000)
    offsets = {register.name: register.offset for register in REGISTERS}
    assert all(access.offset == offsets[access.register] for access in sequence if access.register in offsets)
    writes = {access.register: access.value for access in sequence if access.kind == "write"}
    assert writes["memory_base"] == 0x8000_0000 and writes["memory_bytes"] == 4096 and writes["program_bytes"] == 32
    kinds = [(access.kind, access.register) for access in sequence]
    start = kinds.index(("write", "control"))
    assert {name for kind, name in kinds[:start] if kind == "write"} == {
        "memory_base", "memory_bytes", "program_address", "program_bytes", "interrupt_enable",
    }  # fmt: skip
    assert kinds[start + 1] == ("wait", "status")
    assert "write  0x001c  0x80000000  memory_base" in registers_text(sequence)
    for base in (1, -4096, (1 << 32) - 2048, 1 << 32):
        with pytest.raises(ValueError, match="memory_base must be a multiple of 4096"):
            register_sequence(program(), base)


def arguments(tmp_path: Path, folder: str = "out") -> list[object]:
    config = small_config(tmp_path)
    return ["compile", small_model(tmp_path), "--config", config, "-o", tmp_path / folder]


def test_a_driver_that_follows_the_files_gets_the_outputs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from compiler import load_onnx
    from emulator import Machine, load_config, run_graph

    result = runs(capsys, arguments(tmp_path))
    folder = tmp_path / "out"
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == result["files"]
    memory_map = json.loads((folder / "memory_map.json").read_text())
    assert memory_map == result["memory_map"]
    runs_of_layers = memory_map["instructions"]
    assert [run["first"] for run in runs_of_layers[1:]] == [run["first"] + run["count"] for run in runs_of_layers[:-1]]
    assert runs_of_layers[0]["first"] == 0 and runs_of_layers[-1] == {
        "layer": "", "first": result["instructions"] - 1, "count": 1,
    }  # fmt: skip
    assert {run["layer"] for run in runs_of_layers[:-1]} == {"conv", "pool", "fc"}  # flatten needs none
    writes = {
        access["register"]: access["value"]
        for access in json.loads((folder / "registers.json").read_text())["registers"]
        if access["kind"] == "write"
    }
    image, code = bytearray((folder / "image.bin").read_bytes()), (folder / "program.bin").read_bytes()
    at = writes["program_address"]
    assert len(image) == writes["memory_bytes"] and len(code) == writes["program_bytes"]
    assert image[at : at + len(code)] == code
    place = next(span for span in memory_map["spans"] if span["kind"] == "input")
    x = np.random.default_rng(3).integers(-128, 128, place["shape"], dtype=np.int8)
    np.ndarray(x.shape, np.int8, image, place["address"], place["strides"])[...] = x
    (record,) = Machine(load_config(small_config(tmp_path))).execute([bytes(image)], at)
    output = next(span for span in memory_map["spans"] if "output" in span.get("outputs", ()))
    codes = np.frombuffer(record.memory, np.int8, output["bytes"], output["address"])
    expected = run_graph(load_onnx(tmp_path / "model.onnx"), {"input": x.transpose(2, 0, 1)[None]})["output"]
    np.testing.assert_array_equal(codes, expected[0])


def test_an_earlier_output_is_replaced_and_anything_else_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = runs(capsys, arguments(tmp_path))
    assert runs(capsys, arguments(tmp_path)) == first
    other = tmp_path / "out" / "mine.txt"
    other.write_text("mine")
    fails(capsys, arguments(tmp_path), "out", "'mine.txt'")
    assert other.read_text() == "mine"
    fails(capsys, arguments(tmp_path, "absent/out"), "absent")
    (tmp_path / "file").write_text("")
    fails(capsys, arguments(tmp_path, "file"), "is a file")
    assert not list(tmp_path.glob(".*"))


def test_a_wrong_base_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails(capsys, [*arguments(tmp_path), "--base", "12"], "multiple of 4096")
    fails(capsys, [*arguments(tmp_path), "--base", "here"], "'here'")
    assert not (tmp_path / "out").exists()
