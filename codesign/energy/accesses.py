"""How often a program uses every memory and unit of the accelerator, from its instructions alone.

An access is one enabled read or write of a memory's port, and of a memory that every column has, one in each column:
the row of all columns counts once. What no program needs is no access, though some ports have no enable of their own
and read in every cycle (docs/energy.md): those of the activation scratchpad, the accumulators, the biases and the
tables. No count depends on stalls, on the bus's latency, or on data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from emulator.config import AcceleratorConfig
from emulator.instructions import (
    COUNTER_ROWS,
    INSTRUCTION_BYTES,
    PARAMETER_PITCH,
    Instruction,
    Mode,
    Opcode,
    Target,
)
from emulator.program import Program

from .depthwise import depthwise_accesses
from .transfers import overlaps, pitched_rows, rows, words
from .windows import positions_inside

ACCESSES = {
    "activation_writes": "rows of the activation scratchpad that LOAD writes",
    "activation_reads": "rows of it that CONVOLVE reads, one a position that is no padding",
    "weight_writes": "rows of the weight scratchpad that LOAD writes",
    "weight_reads": "rows of it that CONVOLVE reads: a tile's once, output stationary once for each group of positions",
    "operand_writes": "rows of the operand scratchpad that LOAD writes",
    "operand_reads": "rows of it, or of a copy, that REQUANTIZE (with `add`), REDUCE, DEPTHWISE read, padding left out",
    "output_writes": "rows of the output scratchpad that post-processing writes",
    "output_reads": "rows of it that STORE reads: once for each bus word that a row is part of",
    "accumulator_writes": "rows of sums that CONVOLVE writes: weight stationary, one a position and tile",
    "accumulator_reads": "rows of sums that CONVOLVE carries on and REQUANTIZE reads",
    "parameter_writes": "rows of parameters that LOAD writes, a byte a column",
    "bias_reads": "rows of biases: with which CONVOLVE's sums begin, and one a DEPTHWISE",
    "multiplier_reads": "rows of multipliers and shifts: one a column block of post-processing; none for COUNTERS",
    "zero_point_reads": "rows of weights' zero points: one a row of weights or a DEPTHWISE, where the config has them",
    "table_writes": "rows of the tables that LOAD writes, a byte a column",
    "table_reads": "rows of codes that are looked up",
    "depthwise_writes": "rows of depthwise weights that LOAD writes, a code a column",
    "depthwise_reads": "words of them that DEPTHWISE reads in each column: one a segment of a strip of outputs",
    "waiting_writes": "rows of sums that DEPTHWISE leaves to wait",
    "waiting_reads": "rows of them that it carries on",
    "depthwise_macs": "multiplications of the lanes' steps: taps · columns an output and segment",
    "macs": "multiplications of the array: rows · columns a position, as telemetry counts them",
    "macs_inside": "those of them whose operand is no padding",
    "requantizations": "codes out of the requantizers",
    "reductions": "codes that REDUCE takes into a maximum, a sum or a product",
    "products": "products of REDUCE",
    "additions": "codes out of the adders",
    "bytes_fetched": "bytes of bus words of instructions; with `bytes_loaded`, telemetry's `bytes_read`",
    "bytes_loaded": "bytes of bus words that LOAD reads",
    "bytes_stored": "bytes of bus words that STORE writes: telemetry's `bytes_written`",
}
"""Count → what is counted. The order of every count's keys."""

_FILLS = {
    Target.ACTIVATION: "activation_writes",
    Target.WEIGHT: "weight_writes",
    Target.OPERAND: "operand_writes",
    Target.PARAMETER: "parameter_writes",
    Target.TABLE: "table_writes",
    Target.DEPTHWISE: "depthwise_writes",
}


def access_counts(program: Program, config: AcceleratorConfig) -> list[dict[str, int]]:
    """One entry an instruction, in the program's order: `ACCESSES` → how often, its own fetch included.

    For a program that runs to the HALT at its end. Raises ``ValueError`` if it was compiled for another config.
    """
    program.check_config(config)
    nothing = dict.fromkeys(ACCESSES, 0) | {"bytes_fetched": INSTRUCTION_BYTES}
    return [nothing | instruction_accesses(instruction, config) for instruction in program.instructions]


def total_accesses(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of entries, with all keys of `ACCESSES`."""
    entries = list(counts)
    return {name: sum(entry[name] for entry in entries) for name in ACCESSES}


def layer_accesses(counts: Sequence[Mapping[str, int]], layers: Sequence[str]) -> dict[str, dict[str, int]]:
    """The sums of each layer's entries, in the order of the layers' first instructions.

    counts, layers : one entry an instruction, as `access_counts` and `Program.layers` give them
    Raises ``ValueError`` for other lengths.
    """
    if len(layers) != len(counts):
        raise ValueError(f"layers must name one for each of {len(counts)} instructions, not {len(layers)}")
    found: dict[str, list[Mapping[str, int]]] = {}
    for layer, entry in zip(layers, counts, strict=True):
        found.setdefault(layer, []).append(entry)
    return {layer: total_accesses(entries) for layer, entries in found.items()}


def instruction_accesses(instruction: Instruction, config: AcceleratorConfig) -> dict[str, int]:
    """What the execution of one instruction uses, without its fetch; what is not named is 0."""
    match instruction.opcode:
        case Opcode.LOAD:
            return _load(instruction.fields, config)
        case Opcode.STORE:
            return {
                "output_reads": overlaps(instruction.fields, config.bus_bytes, config.columns),
                "bytes_stored": config.bus_bytes * words(instruction.fields, config.bus_bytes),
            }
        case Opcode.CONVOLVE:
            return _convolve(instruction.fields, config)
        case Opcode.REQUANTIZE:
            return _requantize(instruction, config)
        case Opcode.REDUCE:
            return _reduce(instruction.fields, config)
        case Opcode.DEPTHWISE:
            return depthwise_accesses(instruction.fields, config)
        case Opcode.COUNTERS:
            return {"output_writes": COUNTER_ROWS}
        case Opcode.ADDER:  # what it reads is not used
            return {"multiplier_reads": 1}
    return {}


def _load(fields: Mapping[str, int], config: AcceleratorConfig) -> dict[str, int]:
    target = Target(fields["target"])
    if target == Target.PARAMETER:
        written = pitched_rows(fields, config.columns, config.parameter_rows, PARAMETER_PITCH)
    elif target == Target.DEPTHWISE:
        written = pitched_rows(fields, config.columns, config.depthwise_taps, config.depthwise_pitch)
    else:
        written = rows(fields, config.rows if target == Target.ACTIVATION else config.columns)
    return {_FILLS[target]: written, "bytes_loaded": config.bus_bytes * words(fields, config.bus_bytes)}


def _convolve(fields: Mapping[str, int], config: AcceleratorConfig) -> dict[str, int]:
    outputs = fields["output_height"] * fields["output_width"]
    blocks = fields.get("further_blocks", 0) + 1
    tiles = fields["kernel_height"] * fields["kernel_width"] * fields["channel_rows"] * blocks
    inside = positions_inside(fields) * fields["channel_rows"] * blocks
    started = outputs * blocks
    carried = started * fields["carry"]
    if config.dataflow == "weight_stationary":
        # Each tile after the first one carries on the sums of the tile before.
        weights, writes, reads = tiles * config.rows, outputs * tiles, outputs * tiles - started + carried
    else:
        # A group's sums stay in the elements; each group walks through all tiles, a row of weights for each place.
        weights, writes, reads = -(-outputs // config.rows) * tiles * config.rows, outputs, carried
    elements = config.rows * config.columns
    return {
        "activation_reads": inside,
        "weight_reads": weights,
        "accumulator_writes": writes,
        "accumulator_reads": reads,
        "bias_reads": started - carried,
        "zero_point_reads": weights * config.weight_zero_points,
        "macs": outputs * tiles * elements,
        "macs_inside": inside * elements,
    }


def _requantize(instruction: Instruction, config: AcceleratorConfig) -> dict[str, int]:
    fields, further = instruction.fields, instruction["further_blocks"]
    count = instruction["count"] * (further + 1)
    codes = count * config.columns
    return {
        "accumulator_reads": count,
        "operand_reads": count * fields["add"],
        "output_writes": count + further * COUNTER_ROWS * config.counters,
        "multiplier_reads": further + 1,
        "table_reads": count * fields["table"],
        "requantizations": 0 if instruction["byte"] else codes,
        "additions": codes * fields["add"],
    }


def _reduce(fields: Mapping[str, int], config: AcceleratorConfig) -> dict[str, int]:
    outputs = fields["output_height"] * fields["output_width"]
    codes, inside = outputs * config.columns, positions_inside(fields)
    return {
        "operand_reads": inside,
        "output_writes": outputs,
        "multiplier_reads": 1,
        "table_reads": outputs * fields["table"],
        "requantizations": codes,
        "reductions": inside * config.columns,
        "products": codes * (fields["mode"] == Mode.PRODUCT),
        "additions": codes * fields["add"],
    }
