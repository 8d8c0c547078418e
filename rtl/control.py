"""The bundles of control that travel through the lanes, one lane per cycle, alongside the systolic wavefront."""

from amaranth import Cat, Value, signed
from amaranth.lib import data
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import WEIGHT_ZERO_POINT_ROW

from .unit import INDEX_BITS

PARAMETER_WRITE = data.StructLayout({"bytes": WEIGHT_ZERO_POINT_ROW + 1, "entry": 4, "data": 8})
"""A byte for a lane's parameter memories. Bit b of `bytes`: it is byte b of the entry; none: there is no write."""
TABLE_WRITE = data.StructLayout({"write": 1, "address": 8, "data": 8})
"""A byte for a lane's table."""


def parameter_bytes(write: Value, byte: Value) -> Value:
    """`bytes` of a `PARAMETER_WRITE`: decoded once, on the way to all lanes; an entry has further bytes, of no use."""
    return Cat(write & (byte == b) for b in range(WEIGHT_ZERO_POINT_ROW + 1))


def accumulate_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control of an accumulator lane; moves along the array's columns.

    carry : read the sum of row `read_address` for a position (1), or none (0): its sum starts at the bias
    parameters : entry of the bias
    write, write_address : write what leaves the array's bottom
    """
    row = bits_for(config.accumulator_depth - 1)
    return data.StructLayout({"carry": 1, "read_address": row, "parameters": 4, "write": 1, "write_address": row})


def position_tag(config: AcceleratorConfig) -> data.StructLayout:
    """What accompanies a position from its turn to its issue.

    swap : first position of a weight tile
    carry : the sum starts at the accumulator memory
    row : accumulator row; one bit more than the field, as the sum of field and count may leave the memory
    final : last position of its instruction
    """
    return data.StructLayout(
        {
            "swap": 1,
            "carry": 1,
            "final": 1,
            "row": 17,
            "parameters": 4,
            "zero_point": signed(config.arithmetic.activation_bits),
            "signals": 4,
            "index": INDEX_BITS,
        }
    )
