"""What each access and operation of an accelerator costs: its memories and units as the RTL builds them, by a table."""

from __future__ import annotations

from emulator.config import AcceleratorConfig
from emulator.instructions import DEPTHWISE_SUMS, DEPTHWISE_WORDS, PARAMETER_ENTRIES
from emulator.operators.requantization.multiplier import RESCALED_SUM_BITS

from .table import EnergyTable

CODE_BITS = 8
"""Of a code in a scratchpad or table, however many of them are in use."""
BIAS_BITS = 32
MULTIPLIER_BITS = 40
"""Of an entry with multiplier and shift."""

Costs = dict[str, dict[str, float]]
"""Unit → (count of `ACCESSES` → pJ for each)."""


def costs(config: AcceleratorConfig, table: EnergyTable) -> Costs:
    """What the units' counts cost, in an order that does not change."""
    return {
        "array": _array(config, table),
        "accumulators": _accumulators(config, table),
        **_scratchpads(config, table),
        "parameters": _parameters(config, table),
        "tables": _tables(config, table),
        **({"depthwise": _depthwise(config, table)} if config.depthwise_taps else {}),
        "post_processing": _post_processing(config, table),
        "instruction_fetch": {"bytes_fetched": table.dram_pj_per_byte},
        "dram": {"bytes_loaded": table.dram_pj_per_byte, "bytes_stored": table.dram_pj_per_byte},
    }


def _array(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    """Products, and the flip-flops of elements that take a value with each: operand, product, sum with its flag."""
    arithmetic = config.arithmetic
    x, w, total = arithmetic.activation_bits + 1, config.array_weight_bits, arithmetic.accumulator_bits + 1
    product = table.multiplier(x, w) + table.adder(arithmetic.accumulator_bits) + table.register(x + (x + w) + total)
    weight_row = config.columns * table.adder(w) if config.weight_zero_points else 0.0
    made = {"activation_reads": config.rows * table.adder(x), "macs": product, "weight_reads": weight_row}
    if config.dataflow == "weight_stationary":
        made["weight_reads"] += config.columns * table.register(2 * w)  # into the shadow, then active
    else:
        made["macs"] += table.register(w)  # moves on to the next row
        # A sum moves down to its row, and from there to the bottom: together one row more than there are, two
        # registers in each.
        made["accumulator_writes"] = config.columns * table.register(2 * (config.rows + 1) * total)
    return made


def _accumulators(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    bits = config.arithmetic.accumulator_bits + 1  # its flag
    bank = (config.accumulator_depth + 1) // 2 * bits / 8  # each column has one of even rows and one of odd rows
    return {
        "accumulator_writes": config.columns * table.write(bits, bank),
        "accumulator_reads": config.columns * table.read(bits, bank),
    }


def _scratchpads(config: AcceleratorConfig, table: EnergyTable) -> Costs:
    made = {}
    for name, lanes, depth in (
        ("activation", config.rows, config.activation_depth),
        ("weight", config.columns, config.weight_depth),
        ("operand", config.columns, config.operand_depth),
        ("output", config.columns, config.output_depth),
    ):
        bits, size = CODE_BITS * lanes, depth * lanes
        made[f"{name}_scratchpad"] = {
            f"{name}_writes": table.write(bits, size),
            f"{name}_reads": table.read(bits, size),
        }
    return made


def _parameters(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    """Biases, multipliers with shifts, and zero points lie in memories of their own; a byte of one is written."""
    zero_point = config.arithmetic.weight_bits
    most = PARAMETER_ENTRIES * MULTIPLIER_BITS / 8
    return {
        "parameter_writes": config.columns * table.write(8, most),
        "bias_reads": config.columns * table.read(BIAS_BITS, PARAMETER_ENTRIES * BIAS_BITS / 8),
        "multiplier_reads": config.columns * table.read(MULTIPLIER_BITS, most),
        "zero_point_reads": config.columns * table.read(zero_point, PARAMETER_ENTRIES * zero_point / 8),
    }


def _tables(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    size = 1 << config.arithmetic.activation_bits
    return {
        "table_writes": config.columns * table.write(CODE_BITS, size),
        "table_reads": config.columns * table.read(CODE_BITS, size),
    }


def _depthwise(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    """Weights, sums that wait with their flags, and steps as the array's elements take them, a shared code each."""
    arithmetic, words = config.arithmetic, config.depthwise_taps * CODE_BITS
    x, w, total = arithmetic.activation_bits + 1, config.array_weight_bits, arithmetic.accumulator_bits + 1
    size, waiting = DEPTHWISE_WORDS * config.depthwise_taps, DEPTHWISE_SUMS * total / 8
    return {
        "depthwise_writes": config.columns * table.write(CODE_BITS, size),
        "depthwise_reads": config.columns * (table.read(words, size) + table.register(config.depthwise_taps * w)),
        "waiting_writes": config.columns * table.write(total, waiting),
        "waiting_reads": config.columns * table.read(total, waiting),
        "depthwise_macs": table.multiplier(x, w)
        + table.adder(arithmetic.accumulator_bits)
        + table.register(x + w + total),
    }


def _post_processing(config: AcceleratorConfig, table: EnergyTable) -> dict[str, float]:
    """Products and sums of the lanes; a rounding is a sum as wide as what it rounds, a zero point one of a code."""
    arithmetic = config.arithmetic
    code, digits = arithmetic.activation_bits + 1, arithmetic.multiplier_bits

    def rounded(bits: int, multiplier_bits: int) -> float:
        return table.multiplier(bits, multiplier_bits) + table.adder(bits + multiplier_bits)

    if arithmetic.adder == "rescaled":
        operand = table.multiplier(code, digits) + table.adder(RESCALED_SUM_BITS)
        addition = 2 * operand + table.adder(RESCALED_SUM_BITS) + rounded(RESCALED_SUM_BITS, digits)
    else:
        wide = arithmetic.adder_multiplier_bits
        addition = 2 * table.multiplier(code, wide) + 2 * table.adder(code + wide + 1)  # the sum, and its rounding
    return {
        "requantizations": rounded(arithmetic.operand_bits, digits) + table.adder(code),
        "reductions": table.adder(arithmetic.operand_bits),
        "products": table.multiplier(code, code),
        "additions": addition + 3 * table.adder(code),
    }
