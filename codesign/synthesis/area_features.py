"""What the area of each group of parts grows with, in the hardware's own terms: bits, words, digits."""

from __future__ import annotations

from collections.abc import Callable

from emulator.config import AcceleratorConfig
from emulator.timing import rotator_stages

from .block_resources import lane_product_bits, memories, memory_cells

GROUPS = {
    "array": "compute.array",
    "accumulators": "compute.accumulator_lane",
    "lanes": "post_processing.lane",
    "weight lanes": "compute.weight_lane",
    "control": "",
}
"""Group → the part of the hierarchy that it is; ``control`` is all that is in no other."""
Features = dict[str, float]
SCRATCHPADS = ("activation", "weight", "operand", "output")
PACKED_FACTOR_BITS = 17
"""Bits of two packed weights but for the sign."""


def instances(group: str, config: AcceleratorConfig) -> int:
    """How many equal modules a group has."""
    counts = {"array": config.rows * config.columns, "control": 1}
    counts["lanes"] = config.columns // config.lane_columns
    counts["weight lanes"] = config.columns if config.weight_zero_points else 0
    return counts.get(group, config.columns)


def features(group: str, resource: str, config: AcceleratorConfig) -> Features:
    """Name → number; the area of one instance is about their sum, each times a coefficient.

    resource : ``LUTs`` or ``FFs``
    """
    return _FEATURES[group, resource](config)


def _array_luts(config: AcceleratorConfig) -> Features:
    arithmetic = config.arithmetic
    bits, product = arithmetic.accumulator_bits, arithmetic.activation_bits + 1 + config.array_weight_bits
    moving, saturating = config.dataflow == "output_stationary", arithmetic.overflow == "saturate"
    step = max(bits, product) + 1
    return {
        "1": 1,
        "adder": step,
        "saturated bits": saturating * bits,
        "overflow test": step - bits + 1,
        "moving": moving,
        "moving bits": moving * bits,
        **_packed(config),
    }


def _array_ffs(config: AcceleratorConfig) -> Features:
    arithmetic, weight = config.arithmetic, config.array_weight_bits
    entry = arithmetic.accumulator_bits + 1
    moving = config.dataflow == "output_stationary"
    held = 3 * entry + weight if moving else entry + 2 * weight
    return {"registers": held + arithmetic.activation_bits + 3, "row ends": 1 / config.columns, **_packed(config)}


def _packed(config: AcceleratorConfig) -> Features:
    """What makes two products out of one multiplier's, for each element."""
    arithmetic, paired = config.arithmetic, config.packed_multipliers * (config.columns // 2) / config.columns
    product = arithmetic.activation_bits + config.array_weight_bits
    overlap = max(product - (PACKED_FACTOR_BITS - config.array_weight_bits), 0)
    return {"packed": paired, "packed bits": paired * product, "products in LUTs": paired * overlap * (overlap + 1) / 2}


def _accumulators_luts(config: AcceleratorConfig) -> Features:
    banks = memories(config)["accumulators"]
    _, small, multiplexers = memory_cells(banks)
    return {
        "1": 1,
        "bits": banks.width,
        "bias": -(-config.arithmetic.bias_bits // 4),
        "address": (banks.depth - 1).bit_length(),
        "small memories": 2 * small,
        "multiplexers": 2 * multiplexers,
    }


def _accumulators_ffs(config: AcceleratorConfig) -> Features:
    bits = config.arithmetic.accumulator_bits
    return {"1": 1, "bits": bits, "bias": min(bits, 32), "address": (config.accumulator_depth - 1).bit_length()}


def _lanes(config: AcceleratorConfig) -> Features:
    arithmetic = config.arithmetic
    rescaled = arithmetic.adder == "rescaled"
    added = arithmetic.multiplier_bits + 29 if rescaled else arithmetic.adder_multiplier_bits + 10
    return {
        "1": 1,
        "operand": arithmetic.operand_bits,
        "shifted": arithmetic.operand_bits + arithmetic.multiplier_bits,
        "added": added,
        "rescaled": rescaled,
        "rescaled bits": rescaled * arithmetic.multiplier_bits,
        "counters": config.counters,
        "raw outputs": config.raw_outputs,
        **_shared(config),
    }


def _shared(config: AcceleratorConfig) -> Features:
    """What a lane has for each of its columns but the first one."""
    more, arithmetic = config.lane_columns - 1, config.arithmetic
    return {
        "more columns": more,
        "more operands": more * arithmetic.operand_bits,
        "more counters": more * config.counters,
    }


def _lanes_luts(config: AcceleratorConfig) -> Features:
    arithmetic, made = config.arithmetic, _lanes(config)
    shifted = made["shifted"] + made["added"]
    looks = arithmetic.rounding in ("half_even", "half_away", "toward_zero")
    return {
        **made,
        "fraction": looks * shifted,
        "double": (arithmetic.rounding == "double") * shifted,
        "products": lane_product_bits(config),
        "table": memory_cells(memories(config)["tables"])[1],
        "accumulator": arithmetic.accumulator_bits,
    }


def _lanes_ffs(config: AcceleratorConfig) -> Features:
    arithmetic = config.arithmetic
    return {
        **_lanes(config),
        "code": arithmetic.activation_bits,
        "products": lane_product_bits(config),
        "double": arithmetic.rounding == "double",
    }


def _weight_lanes(config: AcceleratorConfig) -> Features:
    return {"1": 1, "bits": config.arithmetic.weight_bits}


def _control(config: AcceleratorConfig) -> Features:
    return {
        "1": 1,
        "columns": config.columns,
        "rows": config.rows,
        "counters": config.counters * config.columns,
        "bus": config.bus_bytes,
        "output stationary": config.dataflow == "output_stationary",
        "raw outputs": config.raw_outputs,
        "rescaled": config.arithmetic.adder == "rescaled",
        "addresses": sum((memory.depth - 1).bit_length() for memory in memories(config).values()),
    }


def _control_luts(config: AcceleratorConfig) -> Features:
    scratchpads = [memory_cells(memory) for name, memory in memories(config).items() if name in SCRATCHPADS]
    moving = config.dataflow == "output_stationary"
    rotated = config.rows * (config.rows - 1).bit_length() * (config.arithmetic.activation_bits + 1)
    return {
        **_control(config),
        "rotator": moving * rotated,
        "operands": config.rows * (config.arithmetic.activation_bits + 1),
        "small memories": sum(small for _, small, _ in scratchpads),
        "multiplexers": sum(bits for _, _, bits in scratchpads),
    }


def _control_ffs(config: AcceleratorConfig) -> Features:
    arithmetic = config.arithmetic
    rows, columns = (count * (count - 1) // 2 for count in (config.rows, config.columns))
    moving = config.dataflow == "output_stationary"
    operand = arithmetic.activation_bits + 1
    skews = operand * rows + (arithmetic.weight_bits + arithmetic.activation_bits + 16) * columns
    return {
        **_control(config),
        "skews": skews,
        "rotator": moving * rotator_stages(config.rows) * config.rows * operand,
    }


_FEATURES: dict[tuple[str, str], Callable[[AcceleratorConfig], Features]] = {
    ("array", "LUTs"): _array_luts,
    ("array", "FFs"): _array_ffs,
    ("accumulators", "LUTs"): _accumulators_luts,
    ("accumulators", "FFs"): _accumulators_ffs,
    ("lanes", "LUTs"): _lanes_luts,
    ("lanes", "FFs"): _lanes_ffs,
    ("weight lanes", "LUTs"): _weight_lanes,
    ("weight lanes", "FFs"): _weight_lanes,
    ("control", "LUTs"): _control_luts,
    ("control", "FFs"): _control_ffs,
}
