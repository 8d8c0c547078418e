"""Random programs on random memory: instructions of every kind, some illegal, with and without enough tokens."""

from __future__ import annotations

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import (
    INSTRUCTION_BYTES,
    PARAMETER_PITCH,
    UNIT_OF,
    Field,
    Instruction,
    Opcode,
    Target,
    Unit,
    fields_of,
)

MEMORY_BYTES = 16384
DATA = 6144
"""First byte of what programs load and store; the instructions lie before it."""
RANGES = {
    "lines": (1, 3), "pixels": (1, 3), "line_stride": (0, 40), "pixel_stride": (0, 40), "pixel_rows": (1, 2),
    "output_height": (1, 3), "output_width": (1, 3), "kernel_height": (1, 3), "kernel_width": (1, 3),
    "input_height": (1, 5), "input_width": (1, 5), "stride_height": (1, 2), "stride_width": (1, 2),
    "dilation_height": (1, 2), "dilation_width": (1, 2), "pad_top": (-1, 2), "pad_left": (-1, 2),
    "channel_rows": (1, 3), "count": (1, 12), "operand_stride": (0, 2), "output_stride": (0, 2), "wait": (0, 0),
    "further_blocks": (0, 2), "signal": (0, 0), "parameters": (0, 1), "target": (0, 2), "lanes": (0, 12),
}  # fmt: skip
"""Where most programs run to their end; what is not named takes any value that its bits hold."""


def random_value(field: Field, rng: np.random.Generator, config: AcceleratorConfig, strange: float) -> int:
    """A value of a field; with probability `strange` anything that its bits hold."""
    if rng.random() < strange:
        low, high = (-(1 << (field.bits - 1)) if field.signed else 0), (1 << (field.bits - field.signed)) - 1
    elif field.name == "memory_address":
        low, high = DATA, MEMORY_BYTES - 400
    elif field.name == "pixel_bytes":
        low, high = 1, 2 * max(config.rows, config.columns) + 3
    elif field.name.endswith("row"):
        low, high = 0, 8
    elif field.name.endswith("multiplier"):
        low, high = 0, (1 << max(config.arithmetic.multiplier_bits, 16)) - 1
    elif field.name == "byte":
        low, high = 0, field.high * int(rng.random() < 0.4)
    else:
        low, high = RANGES.get(field.name, (field.low, field.high))
    return int(rng.integers(low, high + 1))


def random_instruction(
    opcode: Opcode, rng: np.random.Generator, config: AcceleratorConfig, strange: float = 0.003, **fixed: int
) -> Instruction:
    """An instruction with random fields, but for those that are given; seldom with one that the accelerator has not."""
    fields = fields_of(opcode, config.features if rng.random() < 0.999 else None)
    return Instruction(opcode, {f.name: random_value(f, rng, config, strange) for f in fields} | fixed)


def rows_reached(made: Instruction, config: AcceleratorConfig) -> list[tuple[int, int]]:
    """(rows that an instruction needs, depth) of the memories that it reaches; padding may need fewer."""
    window = made.opcode in (Opcode.CONVOLVE, Opcode.REDUCE, Opcode.DEPTHWISE)
    positions = made["output_height"] * made["output_width"] if window else 0
    pixels = made["input_height"] * made["input_width"] * made["pixel_rows"] if window else 0
    match made.opcode:
        case Opcode.LOAD | Opcode.STORE:
            target = made["target"] if made.opcode == Opcode.LOAD else None
            lanes = config.rows if target == Target.ACTIVATION else config.columns
            depths = [config.activation_depth, config.weight_depth, config.operand_depth] + [256] * 2
            depths += [64 * config.depthwise_pitch] * 3
            depth = config.output_depth if target is None else depths[target]
            steps = made["pixel_rows"] * (made["lines"] * made["pixels"] - 1)
            return [(made["row"] + steps + -(-made["pixel_bytes"] // lanes), depth)]
        case Opcode.CONVOLVE:
            blocks = made["further_blocks"] + 1
            tiles = made["kernel_height"] * made["kernel_width"] * made["channel_rows"] * blocks
            return [
                (made["accumulator_row"] + positions * blocks, config.accumulator_depth),
                (made["weight_row"] + tiles * config.rows, config.weight_depth),
                (made["input_row"] + pixels + made["channel_rows"], config.activation_depth),
            ]
        case Opcode.REQUANTIZE:
            steps, further = made["count"] - 1, made["further_blocks"]
            return [
                (made["accumulator_row"] + made["count"] * (further + 1), config.accumulator_depth),
                (made["operand_row"] + steps * made["operand_stride"] + further + 1, config.operand_depth),
                (made["output_row"] + steps * made["output_stride"] + further + 1, config.output_depth),
                (made["counter_row"] + 12 * further, config.output_depth),
            ]
        case Opcode.REDUCE | Opcode.DEPTHWISE:
            return [
                (made["input_row"] + pixels, config.operand_depth),
                (made["output_row"] + (positions - 1) * made["output_stride"] + 1, config.output_depth),
            ]
    return []


def sound_instruction(opcode: Opcode, rng: np.random.Generator, config: AcceleratorConfig) -> Instruction:
    """An instruction that mostly stays inside the memories: of several, the first that does."""
    for _ in range(200):
        made = random_instruction(opcode, rng, config)
        if all(rows <= depth for rows, depth in rows_reached(made, config)):
            break
    return made if rng.random() < 0.98 else random_instruction(opcode, rng, config)


def fill(rng: np.random.Generator, config: AcceleratorConfig) -> list[Instruction]:
    """LOADs that put something into every memory."""
    depths = {
        Target.ACTIVATION: (config.activation_depth, config.rows),
        Target.WEIGHT: (config.weight_depth, config.columns),
        Target.OPERAND: (config.operand_depth, config.columns),
        Target.TABLE: (1 << config.arithmetic.activation_bits, config.columns),
        Target.DEPTHWISE: (64 * config.depthwise_pitch, config.columns),
    }
    if not config.depthwise_taps:
        del depths[Target.DEPTHWISE]
    made = []
    for target, (depth, lanes) in depths.items():
        size = min(depth * lanes, MEMORY_BYTES - DATA - 600)
        made.append(
            random_instruction(
                Opcode.LOAD, rng, config, 0, target=target, row=0, lines=1, pixels=1, pixel_bytes=size,
                memory_address=DATA + int(rng.integers(600)),
            )
        )  # fmt: skip
    made.append(
        random_instruction(
            Opcode.LOAD, rng, config, 0, target=Target.PARAMETER, row=0, lines=1, pixels=4, pixel_rows=PARAMETER_PITCH,
            pixel_bytes=config.parameter_rows * config.columns,
        )
    )  # fmt: skip
    return made


def with_tokens(program: list[Instruction], rng: np.random.Generator, pairs: int) -> list[Instruction]:
    """Random pairs of an instruction that signals and a later one, of another unit, that waits: never a deadlock."""
    program = list(program)
    for _ in range(pairs):
        first, second = sorted(int(i) for i in rng.integers(len(program), size=2))
        if Opcode.HALT in (program[first].opcode, program[second].opcode):
            continue
        give, take = UNIT_OF[program[first].opcode], UNIT_OF[program[second].opcode]
        if give == take or program[first]["signal"] >> take & 1 or program[second]["wait"] >> give & 1:
            continue
        for index, name, bit in ((first, "signal", take), (second, "wait", give)):
            old = program[index]
            program[index] = Instruction(old.opcode, {**old.fields, name: old[name] | 1 << bit})
    return program


def random_program(rng: np.random.Generator, config: AcceleratorConfig, work: int = 24) -> list[Instruction]:
    """Something for every unit to do, out of step with one another; mostly, the last instruction is HALT."""
    opcodes = [Opcode.CONVOLVE] * 3 + [Opcode.REQUANTIZE] * 2 + [Opcode.REDUCE] * 2 + [Opcode.LOAD] * 3
    opcodes += [Opcode.STORE] * 2 + [Opcode.ADDER]
    if config.counters or rng.random() < 0.05:  # without counters an unknown opcode
        opcodes.append(Opcode.COUNTERS)
    if config.depthwise_taps or rng.random() < 0.05:
        opcodes += [Opcode.DEPTHWISE] * 3
    program = fill(rng, config)
    program += [sound_instruction(opcodes[int(i)], rng, config) for i in rng.integers(len(opcodes), size=work)]
    program += [sound_instruction(Opcode.STORE, rng, config) for _ in range(2)]
    program = with_tokens(program, rng, int(rng.choice([0, 4, 40])))
    if rng.random() < 0.03:  # a token that nobody gives
        index = int(rng.integers(len(program)))
        old = program[index]
        program[index] = Instruction(
            old.opcode, {**old.fields, "wait": old["wait"] | 1 << int(rng.integers(len(Unit)))}
        )
    if rng.random() < 0.97:
        program.append(Instruction(Opcode.HALT, {}))
    return program


def memory_image(program: list[Instruction], rng: np.random.Generator) -> bytes:
    """The program, then random bytes."""
    code = b"".join(instruction.encode() for instruction in program)
    assert len(code) == INSTRUCTION_BYTES * len(program) <= DATA
    return code + rng.bytes(MEMORY_BYTES - len(code))
