"""Programs in their own order, and in the orders that queues and tokens allow."""

from __future__ import annotations

from collections import deque

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import QUEUE_DEPTH, UNIT_OF, Instruction, Opcode, Unit

from .interpreter import Interpreter


def run(config: AcceleratorConfig, image: bytes, program_address: int) -> bytes:
    """The memory after all instructions in program order."""
    machine, index = Interpreter(config, image), 0
    while (instruction := machine.fetch(index, program_address)).opcode != Opcode.HALT:
        machine.execute(instruction)
        index += 1
    return machine.memory.tobytes()


def run_out_of_order(config: AcceleratorConfig, image: bytes, program_address: int, rng: np.random.Generator) -> bytes:
    """The memory after a random order of the units: dispatch in order into the queues, execution where tokens are.

    A unit is favoured for a while, so that some run far ahead. ``AssertionError`` at a deadlock.
    """
    machine, index, halted = Interpreter(config, image), 0, False
    queues: dict[Unit, deque[Instruction]] = {unit: deque() for unit in Unit}
    tokens = np.zeros((len(Unit), len(Unit)), np.int64)
    favourite = Unit.LOAD
    while True:
        while not halted:  # dispatch as far as possible
            instruction = machine.fetch(index, program_address)
            halted = instruction.opcode == Opcode.HALT
            if halted:
                break
            queue = queues[UNIT_OF[instruction.opcode]]
            if len(queue) == QUEUE_DEPTH:
                break
            queue.append(instruction)
            index += 1
        ready = [
            unit
            for unit in Unit
            if queues[unit] and all(tokens[u, unit] for u in Unit if queues[unit][0]["wait"] >> u & 1)
        ]
        if not ready:
            assert halted and not any(queues.values()), f"deadlock at instruction {index}"
            return machine.memory.tobytes()
        if rng.random() < 0.1:
            favourite = Unit(int(rng.integers(len(Unit))))
        unit = favourite if favourite in ready else ready[int(rng.integers(len(ready)))]
        instruction = queues[unit].popleft()
        for other in Unit:
            tokens[other, unit] -= instruction["wait"] >> other & 1
        machine.execute(instruction)
        for other in Unit:
            tokens[unit, other] += instruction["signal"] >> other & 1
        assert tokens.max() < 256
