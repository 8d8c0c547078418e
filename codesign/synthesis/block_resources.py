"""Block RAMs and multipliers of an accelerator on an ECP5: counted, not estimated.

Memories go where Yosys' ``memory_libmap`` finds them cheapest (`passes/memory/memory_libmap.cc`, with the costs of
`techlibs/lattice/brams_16kd.txt` and `lutrams_trellis.txt`); every product becomes multipliers of 18 × 18 bits, but for
those that the RTL itself writes as sums (`rtl/post_processing/product.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from emulator.bus import WRITE_BEATS
from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import STREAM_TAPS
from emulator.front_end import FETCH_AHEAD, INDEX_BITS
from emulator.instructions import (
    DEPTHWISE_SUMS,
    DEPTHWISE_WORDS,
    INSTRUCTION_BYTES,
    PARAMETER_ENTRIES,
    QUEUE_DEPTH,
    UNIT_OF,
    Unit,
    used_bits,
)
from emulator.operators.requantization.multiplier import RESCALED_SUM_BITS
from emulator.registers import COUNTER_BITS, COUNTERS

BLOCK_BITS, BLOCK_COST, BLOCK_BYTE = 1 << 14, 128, 9
BLOCK_WIDTHS = (1, 2, 4, 9, 18, 36)
"""Data widths of a block RAM; the ninth bit of a byte has its own place."""
SMALL_WIDTH, SMALL_DEPTH, SMALL_COST = 4, 16, 4
"""A memory in LUTs."""
MULTIPLEXER_COST = 0.5
"""Per bit of each bank but the first, and per bank's write enable."""
DIGIT = 17
"""Bits of an unsigned digit that a signed multiplier takes."""
PRODUCT_IN_LUTS = 80
"""Bits of one factor times bits of the other, up to which the lanes' products are sums, where no columns share them."""
UNIT_MULTIPLIERS = 2
"""Multipliers of the convolve and post-process units, for the sizes of maps."""


@dataclass(frozen=True)
class Memory:
    """Equal memories with one write and one registered read port each.

    used : bits of each byte that are ever read; cells that hold none of them are left out
    block : in block RAMs, wherever it would be cheapest
    """

    instances: int
    width: int
    depth: int
    used: int = 8
    block: bool = False


@cache
def memory_cells(memory: Memory) -> tuple[int, int, int]:
    """(block RAMs, 16 × 4 bit memories in LUTs, bits of multiplexers behind its banks) of one instance."""
    options = []
    for unit in BLOCK_WIDTHS:
        words = BLOCK_BITS // (unit * 8 // BLOCK_BYTE) if unit >= BLOCK_BYTE else BLOCK_BITS // unit
        options.append(_Placing(memory, -(-memory.depth // words), unit, min(unit, BLOCK_BYTE), BLOCK_COST))
    small = _Placing(memory, -(-memory.depth // SMALL_DEPTH), SMALL_WIDTH, SMALL_WIDTH, SMALL_COST)
    best = min([*options, *([] if memory.block else [small])], key=lambda option: option.cost)
    cells = best.cells()
    return (0, cells, best.multiplexers) if best is small else (cells, 0, best.multiplexers)


@dataclass(frozen=True, eq=False)
class _Placing:
    """A memory in cells of `unit` bits, as many `banks` deep: banks share the cells that they do not fill."""

    memory: Memory
    banks: int
    unit: int
    byte: int
    each: int

    @property
    def padded(self) -> int:
        """Bits of a bank."""
        return -(-self.memory.width // self.byte) * self.byte

    @property
    def multiplexers(self) -> int:
        """Bits behind the banks."""
        return (self.banks - 1) * self.memory.width

    @property
    def cost(self) -> float:
        """As Yosys compares them."""
        enables = self.banks if self.banks > 1 else 0
        whole = -(-self.banks * self.padded // self.unit)
        return self.each * whole + MULTIPLEXER_COST * (self.multiplexers + enables)

    def cells(self) -> int:
        """Cells with a bit that is used."""
        used = [bit for bit in range(self.memory.width) if bit % 8 < self.memory.used]
        return len({(bank * self.padded + bit) // self.unit for bank in range(self.banks) for bit in used})


def memories(config: AcceleratorConfig) -> dict[str, Memory]:
    """The memories that may become block RAMs, and those that have to."""
    arithmetic, columns = config.arithmetic, config.columns
    bank = max((config.accumulator_depth + 1) // 2, 2)
    copies, taps = max(config.depthwise_taps // STREAM_TAPS, 1), config.depthwise_taps
    # Each code of a word of several is written for itself, and so has a byte of nine bits for itself.
    word = taps * BLOCK_BYTE if taps > 1 else 8
    depthwise = {
        "depthwise weights": Memory(columns, word, DEPTHWISE_WORDS),
        "waiting sums": Memory(columns, arithmetic.accumulator_bits + 1, DEPTHWISE_SUMS),
    }
    fetched = FETCH_AHEAD * INSTRUCTION_BYTES // config.bus_bytes
    queues = {
        f"{unit.name.lower()} queue": max(used_bits(opcode) for opcode, of in UNIT_OF.items() if of == unit)
        for unit in Unit
    }
    return {
        "activation": Memory(1, 8 * config.rows, config.activation_depth, arithmetic.activation_bits),
        "weight": Memory(1, 8 * columns, config.weight_depth, arithmetic.weight_bits),
        "operand": Memory(copies, 8 * columns, config.operand_depth, arithmetic.activation_bits),
        "output": Memory(1, 8 * columns, config.output_depth),
        "accumulators": Memory(2 * columns, arithmetic.accumulator_bits + 1, bank),
        "tables": Memory(columns, 8, 1 << arithmetic.activation_bits),
        **(depthwise if taps else {}),
        "biases": Memory(columns, 32, PARAMETER_ENTRIES, block=True),
        "parameters": Memory(columns, 8 * (-(-arithmetic.multiplier_bits // 8) + 1), PARAMETER_ENTRIES, block=True),
        **{name: Memory(1, bits + INDEX_BITS, QUEUE_DEPTH, block=True) for name, bits in queues.items()},
        "fetch": Memory(1, 8 * config.bus_bytes + 1, fetched, block=True),
        "beats": Memory(1, 9 * config.bus_bytes + 1, WRITE_BEATS, block=True),
        "counters": Memory(1, COUNTER_BITS // 2, 2 * len(COUNTERS), block=True),
    }


def lane_product_bits(config: AcceleratorConfig) -> int:
    """Bits of one factor times bits of the other, of all products of a lane that are in LUTs."""
    arithmetic = config.arithmetic
    factor = _digits(arithmetic.multiplier_bits, signed=False)
    operand = _digits(arithmetic.operand_bits, signed=True) if config.lane_columns == 1 else []
    pairs = [(a, b) for a in operand for b in factor]
    if arithmetic.adder == "rescaled":
        pairs += [(a, b) for a in _digits(RESCALED_SUM_BITS, signed=True) for b in factor]
    return sum(a * b for a, b in pairs if a * b <= PRODUCT_IN_LUTS)


def block_rams(config: AcceleratorConfig) -> int:
    """Block RAMs (DP16KD, 18 Kibit each)."""
    return sum(memory.instances * memory_cells(memory)[0] for memory in memories(config).values())


def multipliers(config: AcceleratorConfig) -> int:
    """Multipliers (MULT18X18D)."""
    arithmetic = config.arithmetic
    factor = _digits(arithmetic.multiplier_bits, signed=False)
    operand = _digits(arithmetic.operand_bits, signed=True)
    lane = 1 + (_products(operand, factor) if config.lane_columns == 1 else len(operand) * len(factor))
    if arithmetic.adder == "rescaled":
        lane += 2 * len(factor) + _products(_digits(RESCALED_SUM_BITS, signed=True), factor)
    else:
        lane += 2 * len(_digits(arithmetic.adder_multiplier_bits, signed=False))
    array = config.rows * (-(-config.columns // 2) if config.packed_multipliers else config.columns)
    # LOAD and STORE multiply rows by lanes: with one number of lanes that is a power of two, that is no product. LOAD
    # does so for two instructions, where the lanes are powers of two by a single product.
    powers = _is_power_of_two(config.rows) and _is_power_of_two(config.columns)
    loads = (config.rows != config.columns) if powers else 2
    stores = not _is_power_of_two(config.columns)
    lanes = config.columns // config.lane_columns * lane + config.columns * config.depthwise_taps
    return array + lanes + UNIT_MULTIPLIERS + loads + stores


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _digits(bits: int, signed: bool) -> list[int]:
    """Lengths of the digits in base 2^`DIGIT`; the last one of a signed number is a bit longer."""
    digits = []
    while bits > DIGIT + signed:
        digits.append(DIGIT)
        bits -= DIGIT
    return [*digits, bits]


def _products(x: Sequence[int], y: Sequence[int]) -> int:
    return sum(a * b > PRODUCT_IN_LUTS for a in x for b in y)
