"""Layouts of what the lanes get from the unit: settings, constant from instruction to instruction, and control."""

from amaranth import *
from amaranth.lib import data
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import PARAMETER_ENTRIES, Opcode
from emulator.registers import LANE_COUNTERS

from ..fields import fields_layout
from .adder import adder_settings
from .depthwise_chain import chain_control
from .lane_counters import PLACE_BITS


def lane_settings(config: AcceleratorConfig) -> data.StructLayout:
    """Settings of the lanes, constant while positions are on their way.

    requantize : operands are accumulators (1) or gathered codes (0)
    mode : how codes are gathered, a `Mode`
    first_zero_point, other_zero_point : subtracted from a window's first code and from the others
    zero_point, y_min, y_max : of the requantizer, y_min ≤ y_max
    add, table, counters : a code goes through the adder; through the table; bytes of the counters take its place
    lanes : so many lanes count, this one and those at its right; 0: none of them
    adder : registers of the adder
    depthwise : where the config has depthwise hardware: operands are the chains' sums
    byte : where the config has raw outputs: 0, or which byte of the sum takes the place of the requantized code
    """
    return data.StructLayout(
        {
            "requantize": 1,
            "mode": 2,
            "first_zero_point": signed(8),
            "other_zero_point": signed(8),
            "zero_point": signed(8),
            "y_min": signed(8),
            "y_max": signed(8),
            "add": 1,
            "table": 1,
            "counters": 1,
            "lanes": fields_layout(Opcode.REQUANTIZE)["lanes"].width,
            "adder": adder_settings(config.arithmetic),
            **({"depthwise": 1} if config.depthwise_taps else {}),
            **({"byte": 3} if config.raw_outputs else {}),
        }
    )


def lane_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control that travels from column to column, one per cycle.

    first, valid, result : of a position: the first one of its window; its code counts; its window's last one
    load, entry : take multiplier and shift from this entry of the parameter memory
    overflowed, clipped, add_clipped : count what is at the end of accumulator read, requantizer, adder in this cycle
    clear, place, lowest : as of `LaneCounters`; where the settings say so, the byte at `place` becomes a result
    chain : `chain_control`, where the config has depthwise hardware
    """
    return data.StructLayout(
        {
            "first": 1,
            "valid": 1,
            "result": 1,
            "load": 1,
            "entry": bits_for(PARAMETER_ENTRIES - 1),
            "overflowed": 1,
            "clipped": 1,
            "add_clipped": 1,
            "clear": 1,
            "place": PLACE_BITS,
            "lowest": len(LANE_COUNTERS),
            **({"chain": chain_control(config)} if config.depthwise_taps else {}),
        }
    )
