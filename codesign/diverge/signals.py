"""What machine and RTL do in every cycle: handshakes of the bus, starts and ends of instructions, rows of codes.

Both give one row of named numbers a cycle. A signal that means something only beside another one (an address beside its
handshake) is absent where that one is 0, so that equal rows mean equal behaviour.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulator.front_end import INDEX_BITS
from emulator.instructions import Unit
from emulator.machine import Machine
from emulator.machine.state import State
from emulator.program import Program

Row = dict[str, int]

UNITS = tuple(unit.name.lower() for unit in Unit)
MEANINGS = {
    "read address": "bus: a read burst is asked for; its address in the memory region",
    "read beats": "bus: beats of that burst",
    "read data": "bus: a beat of the memory",
    "read last": "bus: it is the last of its burst",
    "write address": "bus: a write burst is announced; its address in the memory region",
    "write beats": "bus: beats of that burst",
    "write data": "bus: a beat to the memory; bytes that are not written are 0",
    "write bytes": "bus: which bytes of it are written, bit k: byte k",
    "write last": "bus: it is the last of its burst",
    "write response": "bus: a write burst is answered",
    **{f"{unit} starts": f"the {unit} unit takes the instruction of this index" for unit in UNITS},
    **{f"{unit} ends": f"the {unit} unit has ended the instruction of this index" for unit in UNITS},
    **{f"{unit} works": f"the {unit} unit does work" for unit in UNITS},
    **{f"{unit} has work": f"an instruction waits for the {unit} unit, or is under way" for unit in UNITS},
    "position": "an output position enters the array",
    "output row": "post-processing writes this row of the output scratchpad",
    "output codes": "the codes of that row, one byte a column",
}
"""Signal → what it says; the order in which differences of one cycle are named."""


def machine_rows(machine: Machine, program: Program, image: bytes) -> Iterator[tuple[int, Row]]:
    """(cycle, row) of every cycle of one run of the machine."""
    steps = 0  # of post-processing, which stands still while it is idle
    for state in machine.cycles(image, program.program_address, program.program_bytes):
        row = _bus(state) | _units(state)
        registers = state.post_process.registers[0]
        if registers["now"] > steps:
            row |= _output(state)
        steps = int(registers["now"])
        yield int(state.control["now"][0]) - 1, row


def _bus(state: State) -> Row:
    memory, bus, beat = state.external.registers[0], state.bus[0], state.store.beat[0]
    row: Row = {}
    if memory["ar_taken"]:
        row |= {"read address": int(memory["ar_address"]), "read beats": int(memory["ar_beats"])}
    if bus["r_valid"] and bus["r_ready"]:
        row |= {"read data": _number(state.read_data), "read last": int(bus["r_last"])}
    if memory["aw_taken"]:
        row |= {"write address": int(memory["aw_address"]), "write beats": int(memory["aw_beats"])}
    if bus["w_valid"] and bus["w_ready"]:
        first, end = int(beat["first"]), int(beat["end"])
        data = np.zeros_like(state.read_data)
        data[first:end] = state.store.data[beat["slot"], first:end]
        row |= {"write data": _number(data), "write bytes": (1 << end) - (1 << first), "write last": int(bus["w_last"])}
    if bus["b_valid"]:
        row["write response"] = 1
    return row


def _units(state: State) -> Row:
    row: Row = {}
    for index, unit in enumerate(UNITS):
        issue, seen, queue = state.issue[index], state.front.seen[index], state.front.queues[index]
        if issue["take"]:
            row[f"{unit} starts"] = int(issue["index"])
        if seen["finished"]:
            row[f"{unit} ends"] = int(seen["finished_index"])
        row[f"{unit} works"] = int(bool(state.ports[index]["work"]))
        row[f"{unit} has work"] = int(bool(seen["busy"] or queue["present"]))
    row["position"] = int(bool(state.ports[Unit.CONVOLVE]["positions"]))
    return row


def _output(state: State) -> Row:
    post = state.post_process
    slot = int(post.registers[0]["now"]) % len(post.flight)
    if not post.flight[slot]:
        return {}
    codes = post.codes[slot].astype(np.int8).view(np.uint8)
    return {"output row": int(post.rows[slot]), "output codes": _number(codes)}


def _number(data: NDArray[np.uint8]) -> int:
    return int.from_bytes(data.tobytes(), "little")


def rtl_rows(file: Path) -> Iterator[tuple[int, Row]]:
    """(cycle, row) of every cycle of one run of the RTL, out of the ``signals.txt`` that its testbench wrote.

    Raises ``ValueError`` naming the cycle for a signal that is unknown.
    """
    with file.open(encoding="ascii") as lines:
        names = next(lines).split()
        for line in lines:
            words = dict(zip(names, line.split(), strict=True))
            try:
                values = {name: int(word, 16) for name, word in words.items()}
            except ValueError:
                unknown = [name for name, word in words.items() if set(word.lower()) & set("xz")]
                raise ValueError(f"cycle {words['cycle']} (hexadecimal): {', '.join(unknown)} is unknown") from None
            yield values["cycle"], _row(values)


def _row(values: Row) -> Row:
    row: Row = {}
    if values["ar"]:
        row |= {"read address": values["araddr"], "read beats": values["arlen"] + 1}
    if values["r"]:
        row |= {"read data": values["rdata"], "read last": values["rlast"]}
    if values["aw"]:
        row |= {"write address": values["awaddr"], "write beats": values["awlen"] + 1}
    if values["w"]:
        mask = sum(0xFF << 8 * k for k in range(values["wstrb"].bit_length()) if values["wstrb"] >> k & 1)
        row |= {"write data": values["wdata"] & mask, "write bytes": values["wstrb"], "write last": values["wlast"]}
    if values["b"]:
        row["write response"] = 1
    for index, unit in enumerate(UNITS):
        if values["taken"] >> index & 1:
            row[f"{unit} starts"] = values[f"taken_{unit}"]
        if values["finished"] >> index & 1:
            row[f"{unit} ends"] = values["finished_index"] >> INDEX_BITS * index & ((1 << INDEX_BITS) - 1)
        row[f"{unit} works"] = values["work"] >> index & 1
        row[f"{unit} has work"] = values["present"] >> index & 1
    row["position"] = values["position"]
    if values["output"]:
        row |= {"output row": values["output_row"], "output codes": values["output_codes"]}
    return row
