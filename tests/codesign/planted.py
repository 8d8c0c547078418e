"""Faults for the tests of `codesign.diverge`: what a run is given instead of its own memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emulator import Convolution, Graph
from emulator.instructions import INSTRUCTION_BYTES, Opcode
from emulator.program import Program

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
