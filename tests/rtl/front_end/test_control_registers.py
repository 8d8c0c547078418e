"""The registers and the interrupt line as a host sees them: cocotbext-axi reads and writes before, in, after runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emulator.instructions import INSTRUCTION_BYTES, Instruction, Opcode
from rtl.accelerator import accelerator_verilog
from rtl.simulation import build
from tests.end_to_end.test_faults import CONFIG, DATA, GOOD, HALT, RESULT, make

TOP = Path(__file__).parents[1] / "bus/axi_top.v"
SIZE = 8192
TESTS = 9

CLIPS = make(
    Opcode.REDUCE, output_width=10, input_width=10, mode=3, input_zero_point=-128, y_max=127, output_row=20, lanes=3
)
"""Adds 128 to the codes that GOOD has loaded."""
LONG = make(Opcode.REDUCE, output_width=2000)
"""Keeps the instructions behind it waiting; so many that the sequencer waits too, and fetches the last ones late."""
PROGRAMS: dict[str, tuple[int, list[Instruction]]] = {
    "good": (0, [*GOOD[:-1], CLIPS, HALT]),
    "faulty": (256, [make(Opcode.LOAD, memory_address=DATA), make(Opcode.LOAD, target=6), HALT]),
    "halt": (384, [HALT]),
    "slow": (512, [LONG, *[make(Opcode.ADDER)] * 30, *GOOD]),
}
"""Each with its place in the memory."""


def test_registers_and_interrupt(tmp_path: Path) -> None:
    image = bytearray(np.random.default_rng(6).bytes(SIZE))
    image[DATA + 64 : DATA + 100] = bytes(16) + b"\x01" * 4 + bytes(16)  # bias 0, multiplier 1, shift 0
    places = {}
    for name, (address, program) in PROGRAMS.items():
        code = b"".join(instruction.encode() for instruction in program)
        assert address + len(code) <= DATA
        image[address : address + len(code)] = code
        places[name] = (address, INSTRUCTION_BYTES * len(program))
    (tmp_path / "image.bin").write_bytes(image)
    codes = np.frombuffer(image[DATA : DATA + 40], np.int8).reshape(10, 4)
    clipped = ((codes >= 0).sum(axis=0) * [1, 1, 1, 0]).tolist()
    sources = [("accelerator.v", accelerator_verilog(CONFIG)), (TOP.name, TOP.read_text(encoding="utf-8"))]
    built = build(sources, "axi_top", "verilator", parameters={"BUS_BYTES": CONFIG.bus_bytes}, cocotb=True)
    arguments = {
        **places, "data": DATA, "result": RESULT, "size": 40, "columns": CONFIG.columns, "clipped": clipped,
        "hash": int(CONFIG.hash()[:8], 16),
    }  # fmt: skip
    built.run("tests.rtl.front_end.registers_bench", tmp_path, arguments, expected=TESTS)
