"""`Program`: memory images, what is read out of them, and the door."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine, run_graph
from emulator.instructions import INSTRUCTION_BYTES, Instruction, Opcode, decode
from tests.graphs import random_graph

GRAPH = random_graph(np.random.default_rng(0), Arithmetic())
CONFIG = AcceleratorConfig()
PROGRAM = compile_graph(GRAPH, CONFIG)


def batch(count: int) -> np.ndarray:
    height, width, depth = GRAPH.inputs[0].shape
    return np.random.default_rng(1).integers(-128, 128, (count, depth, height, width), dtype=np.int8)


def test_an_image_holds_the_instructions_and_one_samples_codes() -> None:
    x = batch(3)
    images = PROGRAM.images({"input": x})
    assert [len(image) for image in images] == [PROGRAM.memory_bytes] * 3
    address = PROGRAM.inputs["input"].address
    for image, sample in zip(images, x, strict=True):
        expected = np.moveaxis(sample, 0, -1).tobytes()
        assert image[address : address + len(expected)] == expected
        np.testing.assert_array_equal(PROGRAM.read(image, "input"), sample[None])
        for index, instruction in enumerate(PROGRAM.instructions):
            at = PROGRAM.program_address + index * INSTRUCTION_BYTES
            made = decode(image[at : at + INSTRUCTION_BYTES], CONFIG.features)[1]
            assert made is not None and made.opcode == instruction.opcode
            assert {name: made[name] for name in made.fields} == {name: instruction[name] for name in made.fields}


def test_regions_do_not_overlap() -> None:
    taken = np.zeros(PROGRAM.memory_bytes, np.int64)
    regions = {r.address: r for r in (*PROGRAM.inputs.values(), *PROGRAM.tensors.values())}
    spans = [(r.address, r.size) for r in regions.values()]
    spans += [(block.address, 8 * PROGRAM.columns) for block in PROGRAM.counters]
    spans += [(PROGRAM.program_address, INSTRUCTION_BYTES * len(PROGRAM.instructions))]
    for address, size in spans:
        taken[address : address + size] += 1
    assert taken.max() == 1


def test_replacing_an_instruction_changes_list_and_image() -> None:
    halt = Instruction(Opcode.HALT, {})
    changed = PROGRAM.with_instruction(1, halt)
    assert changed.instructions[1] == halt and PROGRAM.instructions[1] != halt
    different = [i for i, (a, b) in enumerate(zip(changed.image, PROGRAM.image, strict=True)) if a != b]
    start = PROGRAM.program_address + INSTRUCTION_BYTES
    assert different and all(start <= i < start + INSTRUCTION_BYTES for i in different)


def test_counters_are_read_low_byte_first() -> None:
    memory = bytearray(PROGRAM.memory_bytes)
    block = PROGRAM.counters[0]
    for byte, value in enumerate((0x44, 0x33, 0x22, 0x11, 0x08, 0x07, 0x06, 0x05)):
        memory[block.address + byte * PROGRAM.columns] = value  # lane 0
    overflowed, clipped = PROGRAM.read_counters(bytes(memory))[block.layer]
    assert (overflowed[block.channel], clipped[block.channel]) == (0x11223344, 0x05060708)
    assert overflowed.sum() == 0x11223344 and clipped.sum() == 0x05060708


@pytest.mark.parametrize(
    ("inputs", "error", "text"),
    [
        ({}, ValueError, "must have 'input'"),
        ({"image": batch(1)}, ValueError, "must be named .input., not 'image'"),
        ({"input": batch(1)[:, :, :1]}, ValueError, "must have shape"),
        ({"input": batch(1).astype(np.int64)}, TypeError, "must be an array of floats or of int8 codes, not int64"),
        ({"input": np.full(batch(1).shape, np.nan, np.float32)}, ValueError, "must not contain NaN"),
    ],
)
def test_wrong_inputs_are_named(inputs: dict[str, np.ndarray], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        PROGRAM.images(inputs)


def test_other_things_than_a_program_are_named() -> None:
    with pytest.raises(TypeError, match="program must be a Program, as compile_graph gives it, not Graph"):
        Machine(CONFIG).run(GRAPH, {"input": batch(1)})
    with pytest.raises(TypeError, match="config must be an AcceleratorConfig, not Arithmetic"):
        Machine(Arithmetic())
    with pytest.raises(TypeError, match="inputs must be a dictionary of arrays by input name, not ndarray"):
        Machine(CONFIG).run(PROGRAM, batch(1))
    with pytest.raises(TypeError, match="graph must be a Graph, as load_onnx gives it, not str"):
        compile_graph("own.onnx", CONFIG)
    with pytest.raises(TypeError, match="graph must be a Graph, as load_onnx gives it, not Program"):
        run_graph(PROGRAM, {"input": batch(1)})
