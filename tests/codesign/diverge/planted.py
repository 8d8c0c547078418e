"""Faults for the tests of `codesign.diverge`: what a run is given instead of its own memory, and what must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from codesign.diverge import Divergence
from compiler import compile_graph
from emulator import AcceleratorConfig, Convolution, Graph, Machine
from emulator.instructions import INSTRUCTION_BYTES, Opcode
from emulator.program import Program

CONFIG = AcceleratorConfig(rows=4, columns=4)
Fault = Callable[[Program, bytes], bytes]
"""(program, memory image) → the image with the fault."""


def loads(program: Program, target: int) -> list[int]:
    """The instructions that load into one of the memories, in the program's order."""
    return [
        index
        for index, item in enumerate(program.instructions)
        if item.opcode == Opcode.LOAD and item.fields.get("target", 0) == target
    ]


def with_fields(program: Program, image: bytes, index: int, **fields: int) -> bytes:
    """The image with other fields of one instruction."""
    changed = replace(program.instructions[index], fields={**program.instructions[index].fields, **fields})
    at = program.program_address + index * INSTRUCTION_BYTES
    return image[:at] + changed.encode() + image[at + INSTRUCTION_BYTES :]


def corrupted_word(program: Program, image: bytes) -> bytes:
    """One bit of a weight of the third layer's second tile is turned around."""
    at = program.instructions[loads(program, 1)[3]].fields["memory_address"] + 5
    return image[:at] + bytes([image[at] ^ 0x40]) + image[at + 1 :]


def swapped_tile(program: Program, image: bytes) -> bytes:
    """The first layer's two weight tiles are loaded from each other's place."""
    first, second = loads(program, 1)[:2]
    addresses = [program.instructions[index].fields["memory_address"] for index in (first, second)]
    image = with_fields(program, image, first, memory_address=addresses[1])
    return with_fields(program, image, second, memory_address=addresses[0])


def dropped_token(program: Program, image: bytes) -> bytes:
    """The load of the first layer's codes does not wait until they are stored."""
    return with_fields(program, image, loads(program, 2)[0], wait=0)


def first_difference(a: np.ndarray, b: np.ndarray) -> tuple[int, ...]:
    """Sample and stored index of the first code that differs, of arrays in the logical layout."""
    return tuple(np.argwhere(np.moveaxis(a != b, 1, -1))[0].tolist())


def flipped_weight(graph: Graph, layer: str) -> Graph:
    """The graph with one bit of one weight of a convolution turned around."""

    def changed(node: object) -> object:
        if not (isinstance(node, Convolution) and node.name == layer):
            return node
        weight = node.weight.copy()
        weight[2, 1, 1, 0] ^= 0x10
        return replace(node, weight=weight)

    return replace(graph, nodes=tuple(changed(node) for node in graph.nodes))


FAULTS = {
    "corrupted word": (corrupted_word, "residual"),
    "swapped tile": (swapped_tile, "features.0"),
    "dropped token": (dropped_token, "pool"),
}
"""Fault → how it is planted, and the layer whose codes it is the first to change."""


def plant(monkeypatch: pytest.MonkeyPatch, graph: Graph, fault: Fault) -> None:
    """Give the machine's runs other memory images."""
    execute, cycles = Machine.execute, Machine.cycles
    program = compile_graph(graph, CONFIG)

    def wrong_execute(self: Machine, images: list[bytes], *arguments: object, **options: object) -> object:
        return execute(self, [fault(program, image) for image in images], *arguments, **options)

    def wrong_cycles(self: Machine, image: bytes, *arguments: object) -> object:
        return cycles(self, fault(program, image), *arguments)

    monkeypatch.setattr(Machine, "execute", wrong_execute)
    monkeypatch.setattr(Machine, "cycles", wrong_cycles)


def plant_rtl(monkeypatch: pytest.MonkeyPatch, graph: Graph, fault: Fault) -> None:
    """Give the RTL's runs other memory images."""
    simulate = import_module("rtl.simulate")  # the room's `simulate` is the function
    honest = simulate.simulate_images
    program = compile_graph(graph, CONFIG)

    def wrong(config: AcceleratorConfig, images: list[bytes], *arguments: object, **options: object) -> object:
        return honest(config, [fault(program, image) for image in images], *arguments, **options)

    monkeypatch.setattr(simulate, "simulate_images", wrong)


def check_element(found: Divergence, layer: str, wrong: str, honest: np.ndarray, faulty: np.ndarray) -> None:
    """The element is the first that differs between an honest and a faulty run, and the contract says who is right."""
    assert found.element is not None and not found.agree
    place = found.element.place
    assert place.layer == layer and (place.sample, *place.index) == first_difference(honest, faulty)
    assert found.element.right == tuple(name for name in found.implementations if name != wrong)
    at = (place.sample, place.index[-1], *place.index[:-1])
    assert found.element.codes[wrong] == faulty[at] and found.element.trace.code == honest[at]
    first = next(difference for difference in found.layers if difference.differing)
    assert first.name == layer and first.differing == np.count_nonzero(honest != faulty)
