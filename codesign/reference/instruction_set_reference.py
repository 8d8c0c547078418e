"""`docs/instruction_set.md`: the instruction-set reference, made from the declarations in `emulator/` and `rtl/`.

``python -m codesign.reference.instruction_set_reference`` writes the page; a test says when it is out of date.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

from emulator.front_end import DECODE_STAGES, FETCH_AHEAD
from emulator.instructions import (
    ADDRESS_BITS,
    FORMATS,
    INSTRUCTION_BYTES,
    OPCODE_BITS,
    PARAMETER_ENTRIES,
    PARAMETER_PITCH,
    QUEUE_DEPTH,
    TOKEN_BITS,
    UNIT_OF,
    Error,
    Field,
    Opcode,
    Target,
    Unit,
    field_offsets,
    used_bits,
)
from emulator.registers import (
    COUNTER_BITS,
    COUNTERS,
    LANE_COUNTER_BITS,
    LANE_COUNTERS,
    LANE_PITCH,
    REGISTERS,
    lane_counter,
)

from ..files import write_text
from .accelerator_ports import port_rows
from .instruction_semantics import ERRORS, FEATURES, SEMANTICS, TARGETS, TIMING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "instruction_set.md"
WIDTH = 120


def reference() -> str:
    """The page's text."""
    parts = [_head(), _encoding(), _units(), _memories()]
    parts += [_instruction(opcode) for opcode in Opcode]
    parts += [_errors(), _registers(), _ports()]
    paragraphs = "\n\n".join(part.strip("\n") for part in parts).split("\n\n")
    return "\n\n".join(_wrapped(paragraph) for paragraph in paragraphs) + "\n"


def _wrapped(paragraph: str) -> str:
    if paragraph.startswith(("#", "|")):
        return paragraph
    return fill(" ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def _head() -> str:
    return """# The instruction set

This page is generated from `emulator/instructions/`, `emulator/registers.py` and `rtl/accelerator.py` by `python -m
codesign.reference.instruction_set_reference`; changes belong there. The numeric contract that it refers to is
[contract.md](contract.md), the hardware is described in [architecture.md](architecture.md). P is accumulator_bits, and
overflow_P what the contract makes of a sum that leaves P bits: saturation or wrapping."""


def _encoding() -> str:
    return f"""## Encoding

An instruction has {INSTRUCTION_BYTES} bytes, little-endian: the opcode in bits 0 to {OPCODE_BITS - 1}, then the
format's fields in the order of the tables below, the least significant bit first. Signed fields are two's
complement. The bits behind the last field must be 0, and so must a field that the config does not have. A program
begins at a multiple of {INSTRUCTION_BYTES} in the memory region and ends with HALT. An instruction's index is its
position in the program, from 0 on."""


def _units() -> str:
    executes = {unit: [opcode.name for opcode in Opcode if UNIT_OF.get(opcode) == unit] for unit in Unit}
    rows = ((unit.value, unit.name, ", ".join(names)) for unit, names in executes.items())
    return f"""## Units, queues and tokens

{_table(("bit", "unit", "executes"), rows)}

The units execute side by side, each of them its own instructions in program order, in which they also end. The
sequencer fetches and decodes in program order and puts each instruction into the queue of its unit, which holds
{QUEUE_DEPTH}; a full queue holds up the sequencer.

From every unit to every unit, itself included, there is a token counter of {TOKEN_BITS} bits, 0 at the start of a
run. The first instruction of unit v's queue starts when the unit is free and, for every bit u of its `wait`, the
counter from u to v is above 0; these counters then fall by one. When it has ended, the counter from v to u rises by
one for every bit u of its `signal`. Nothing else orders the units: what one of them writes and another reads needs
a token between them, and a buffer that is written again needs one back. A counter that would exceed
{(1 << TOKEN_BITS) - 1} stops the run with TOKEN.

An instruction that has ended in cycle t starts another one that waited for its token in cycle t + 2 at the
earliest; a unit takes two instructions of its queue at least 2 cycles apart. Up to {FETCH_AHEAD} instructions are
fetched ahead of the one in the decoder, which takes {DECODE_STAGES} cycles. No cycle depends on data."""


def _memories() -> str:
    rows = [(target.value, *TARGETS[target]) for target in Target] + [
        ("", "output scratchpad", "output_scratchpad_bytes / columns", "columns", "POST_PROCESS", "STORE"),
        (
            "",
            "accumulators",
            "accumulator_bytes · 8 / (columns · P)",
            "columns sums",
            "CONVOLVE",
            "CONVOLVE, POST_PROCESS",
        ),
    ]
    return f"""## Memories

{_table(("`target`", "memory", "rows", "bytes of a row", "written by", "read by"), rows)}

Row addresses are computed modulo 2^{ADDRESS_BITS} and then compared with the memory's rows. A code is one byte,
sign-extended. The parameters have {PARAMETER_ENTRIES} entries per lane; byte b of entry e is row {PARAMETER_PITCH}
· e + b: bias (4 bytes, lowest first), multiplier (4), shift (1), where the config has `weight_zero_points` the zero
point of the lane's weights (1), and rows up to {PARAMETER_PITCH - 1} of an entry that are not in use are dropped. Of
the bias the low min(P, 32) bits count, of the multiplier multiplier_bits, of the shift 6, of the zero point
weight_bits: any entry is accepted, also with a shift of 63. The table's row for a code is the code +
2^(activation_bits − 1). The accumulators are two banks, of even rows and of odd rows; where CONVOLVE reads a carried
sum POST_PROCESS does not read the same bank in the same cycle: it waits for one cycle, and both then go from row to
row side by side. An accumulator row keeps an overflow flag beside each sum.

What one unit writes and another one reads, without a token between them, is read as it was before the cycle of the
writing in simulation and in the machine; a block RAM of a device may give any value there."""


def _instruction(opcode: Opcode) -> str:
    unit = UNIT_OF.get(opcode)
    offsets = field_offsets(opcode)
    rows = [("opcode", _bits(0, OPCODE_BITS), opcode.value, "")]
    rows += [(f"`{f.name}`", _bits(offsets[f.name], f.bits), _legal(f), _meaning(f)) for f in FORMATS[opcode]]
    text = [
        f"## {opcode.name}",
        f"Unit: {'the sequencer' if unit is None else unit.name}. {used_bits(opcode)} bits in use.",
        _table(("field", "bits", "legal", "meaning"), rows),
        SEMANTICS[opcode].strip(),
    ]
    if TIMING[opcode]:
        text.append(f"Cycles: {TIMING[opcode].strip()}")
    return "\n\n".join(text)


def _meaning(field: Field) -> str:
    """What a field says, and which config has it if not every one does."""
    return f"{field.doc}{FEATURES[field.feature or field.further]}"


def _bits(first: int, count: int) -> str:
    return f"{first + count - 1}:{first}" if count > 1 else str(first)


def _legal(field: Field) -> str:
    return f"{field.low} … {field.high}" if field.high < 1 << 20 else f"{field.low} … 2^{field.high.bit_length()} − 1"


def _errors() -> str:
    rows = ((error.value, error.name, ERRORS[error]) for error in Error)
    return f"""## Errors

{_table(("code", "name", "why the run stopped"), rows)}

The run stops in a defined state: no further access begins, what is on its way ends, then the status register shows
the error and the interrupt line rises. The register `error_index` holds the index of the instruction at fault; of
several faults, the earliest cycle wins, in one cycle the instruction that comes first in the program. Nothing
outside the memory region has been written. A soft reset (or a new start) makes the accelerator ready again."""


def _registers() -> str:
    rows = [
        (
            f"0x{register.offset:03x}",
            f"`{register.name}`",
            "read, write" if register.writable else "read",
            32 * register.words,
            register.doc,
        )
        for register in REGISTERS
    ]
    lanes = [
        (f"0x{lane_counter(index, 0):04x} + {LANE_PITCH} · c", name.replace("_", " "))
        for index, name in enumerate(LANE_COUNTERS)
    ]
    return f"""## Registers

The AXI4-Lite slave has registers of 32 bits at byte offsets that are multiples of 4. Reads elsewhere give 0; writes
elsewhere and to registers that can only be read are ignored; every response is OKAY. The lowest two bits of an
address are not looked at; a write changes the bytes whose strobes are set, a command needs that of its byte.

{_table(("offset", "register", "access", "bits", "meaning"), rows)}

`program_address` to `memory_bytes` describe the next run: while one is under way or being reset, writes to them are
ignored. Where one is a multiple, its low bits are 0, whatever is written. `memory_base` + `memory_bytes` must not
exceed 2^32: bus addresses are computed modulo 2^32, and a region that went on at address 0 would be written there.

A start is ignored during a run, during a soft reset and in a write that asks for a soft reset too. It clears
`status`, `error` and the counters, and acknowledges the run before. A soft reset does the same and starts nothing;
during a run it first waits, as after an error, until what is on its way has ended, and the interrupt line does not
rise. The other registers keep their values.

The interrupt line is high while bit 0 of `interrupt_enable` is 1 and a run that has ended, by HALT or by an error,
has not been acknowledged; so it rises at once where it is enabled after the end. An acknowledgement leaves `status`,
`error` and the counters as they are, and one that comes before the end does not count for it.

The counters from `{COUNTERS[0]}` to `{COUNTERS[-1]}` are those of the last run and have {COUNTER_BITS} bits in a
pair of registers, the low word first; during a run they can be read, but go on between the two words. A
unit is busy in a cycle in which it does work; it stalls in a cycle in which it has an instruction, waiting in its
queue or executing, and does none. `cycles` counts from the write that starts the run to the cycle in which the
interrupt line rises. `macs` grows by rows · columns for each position that enters the array, whether or not all of
its elements have something to do; `bytes_read` and `bytes_written` by bus_bytes for each beat.

Counters of column lane c, of {LANE_COUNTER_BITS} bits, since the start of the run; 0 in hardware without counters:

{_table(("offset", "counts"), lanes)}"""


def _ports() -> str:
    return f"""## Ports

Of the module `accelerator`, the top of the Verilog; in brackets the bits of those that have more than one.

{_table(("", "inputs", "outputs"), port_rows())}

Everything belongs to the rising edge of `clk`; `rst` is synchronous and active high, for one edge or more before the
first run. In a four-state simulator it must rise after time 0: an `always @*` runs when something changes, and a signal
that is 1 from the beginning does not. The AXI4 master's bursts are INCR, of whole words, with the identifier 0.
`axi__bid`, `axi__rid` and the slave's `awprot` and `arprot` are not looked at."""


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    write_text(PAGE, reference())
