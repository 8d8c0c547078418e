"""The instruction-set reference: complete, and the committed page is the generated one."""

from __future__ import annotations

import re
from math import prod

from codesign.execution.timeline import spans
from codesign.networks import resnet8
from codesign.reference.instruction_semantics import (
    ADDER_CYCLES,
    ERRORS,
    FIRST_ISSUE,
    SEMANTICS,
    SETTINGS_FREE,
    TIMING,
)
from codesign.reference.instruction_set_reference import PAGE, reference
from codesign.utilization import random_inputs
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Machine
from emulator.instructions import COUNTER_ROWS, FORMATS, UNIT_OF, Error, Opcode, Unit
from emulator.registers import REGISTERS
from emulator.timing import WINDOW_SETUP_CYCLES, output_delay


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run `python -m codesign.reference.instruction_set_reference`"
    )


def test_everything_declared_is_on_the_page() -> None:
    assert set(SEMANTICS) == set(TIMING) == set(Opcode) and set(ERRORS) == set(Error)
    page = reference()
    chapters = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for opcode, fields in FORMATS.items():
        rows = re.findall(r"^\| `(\w+)` \| (\d+)(?::(\d+))? \|", chapters[opcode.name], re.MULTILINE)
        assert [name for name, _, _ in rows] == [field.name for field in fields]
        bit = 8
        for (_, last, first), field in zip(rows, fields, strict=True):
            assert (int(first or last), int(last)) == (bit, bit + field.bits - 1)
            bit += field.bits
    assert all(f"`{register.name}`" in chapters["Registers"] for register in REGISTERS)


def test_the_words_name_no_field_that_is_not_there() -> None:
    for opcode, text in SEMANTICS.items():
        named = set(re.findall(r"`(\w+)`", text))
        fields = {field.name for field in FORMATS[opcode]}
        others = {"columns", "target"} if opcode != Opcode.LOAD else {"columns"}
        others |= {
            Opcode.CONVOLVE: {"weight_zero_points"},
            Opcode.REQUANTIZE: {"raw_outputs"},
            Opcode.DEPTHWISE: {"weight_zero_points", "depthwise_taps"},
        }.get(opcode, set())
        assert named <= fields | others, opcode


def test_post_processing_takes_the_cycles_that_the_page_states() -> None:
    arithmetic = Arithmetic()
    config = AcceleratorConfig(rows=4, columns=4, arithmetic=arithmetic)
    graph = resnet8(arithmetic)
    program = compile_graph(graph, config)
    (record,) = Machine(config).execute(
        program.images(random_inputs(graph)), program.program_address, program.program_bytes, timeline=True
    )
    # First issue, then all positions, the last one's row, and the cycle after that.
    rest = output_delay(config)
    found: dict[Opcode, set[int]] = {}
    several: list[bool] = []
    last, ends = -rest, [0, 0]  # the last position of the one before; the ends of the two before
    for span in spans(program.instructions, record.timeline):
        fields = program.instructions[span.index].fields
        sizes = [fields.get(f"{part}_{axis}", 1) for part in ("output", "kernel") for axis in ("height", "width")]
        positions = {Opcode.REQUANTIZE: fields.get("count"), Opcode.REDUCE: prod(sizes), Opcode.COUNTERS: COUNTER_ROWS}
        if UNIT_OF[span.opcode] != Unit.POST_PROCESS:
            continue
        if span.opcode == Opcode.ADDER:
            assert span.end == max(span.start + ADDER_CYCLES, ends[-1] + ADDER_CYCLES - 1)
        else:
            ready = span.start + FIRST_ISSUE + (WINDOW_SETUP_CYCLES if span.opcode == Opcode.REDUCE else 0)
            free = FIRST_ISSUE + 1 if span.opcode == Opcode.COUNTERS else SETTINGS_FREE
            first = max(ready, last + free, ends[-2] + FIRST_ISSUE - 1)
            # Parts of a REQUANTIZE of several blocks are not in the timeline, nor who waited for them.
            if not any(several[-2:]) and not fields.get("further_blocks"):
                found.setdefault(span.opcode, set()).add(span.end - first - positions[span.opcode])
            several.append(fields.get("further_blocks", 0) > 0)
            last = span.end - 1 - rest
        ends.append(span.end)
    assert found[Opcode.COUNTERS] == found[Opcode.REDUCE] == {rest}
    assert min(found[Opcode.REQUANTIZE]) == rest
