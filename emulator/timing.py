"""Lengths of the pipelines, which machine and RTL share. What is counted in cycles elsewhere is made of these."""

from __future__ import annotations

from .arithmetic import Arithmetic
from .config import AcceleratorConfig

DEFAULT_LATENCY = 16
"""Cycles from a read's address to its first beat, in simulated and emulated memory, unless told otherwise."""
MAX_LATENCY = 1024
"""Largest latency of that memory."""
LOAD_WRITE_DELAY = 4
"""Cycles from a beat on the bus to the one in which LOAD writes its row, and in which it says that it has ended."""
SHIFT_ROUND_LATENCY = 5
"""Cycles from an exact product or sum to its code."""
REQUANTIZER_LATENCY = 5 + SHIFT_ROUND_LATENCY
"""Cycles from operand to code."""
ADDER_LATENCY = 5 + SHIFT_ROUND_LATENCY
"""Cycles from the adder's codes to their sum's."""
RESCALED_ADDER_LATENCY = 8 + REQUANTIZER_LATENCY
"""The same of the rescaled adder."""
OPERAND_READ_DELAY = 3
"""Cycles from issuing a position to the cycle in which column lane 0 has its operand's code."""
SUM_DELAY = OPERAND_READ_DELAY + 1
"""Cycles from issuing a position to the cycle in which column lane 0 has its accumulator."""
OPERAND_DELAY = SUM_DELAY + 2
"""Cycles from issuing a position to the cycle in which column lane 0 has the requantizer's operand."""
RESULT_DELAY = OPERAND_DELAY + REQUANTIZER_LATENCY + ADDER_LATENCY + 2
"""Cycles from issuing a position to the cycle that would write its row, were there no columns to wait for; with the
rescaled adder so many more as it takes longer."""
WINDOW_SETUP_CYCLES = 16
"""Cycles in which a `WindowSetup` multiplies."""
WINDOW_LATENCY = 3
"""Cycles from a `Window`'s counters to the address and its checks; from a position's turn to its issue."""
OPERAND_CODE_DELAY = 3
"""Cycles from a position's issue until array row 0 has its operand."""
SUM_READ_DELAY = 2
"""Cycles from a position's issue until accumulator lane 0 reads the sum that it carries on, with `packing_delay` 0."""
SUM_WRITE_DELAY = 5
"""Cycles from a position's issue until accumulator lane 0 writes its sum, if the array had no rows, likewise."""
DEPTHWISE_STREAM_DELAY = 3
"""Cycles between the reads of two of a DEPTHWISE's input lines for one output: the steps of one line."""
GROUPS_IN_FLIGHT = 8
"""Output stationary: groups with sums on their way in, in the array, or on their way out, at most."""


def packing_delay(config: AcceleratorConfig) -> int:
    """Cycles by which sums enter the array later than where each product has a multiplier of its own."""
    if not config.packed_multipliers:
        return 0
    return 1 if config.dataflow == "weight_stationary" else 2


def sum_read_delay(config: AcceleratorConfig) -> int:
    """Cycles from a position's issue until accumulator lane 0 reads the sum that it carries on."""
    return SUM_READ_DELAY + packing_delay(config)


def sum_write_delay(config: AcceleratorConfig) -> int:
    """Cycles from issuing a position until column lane 0 writes its sum."""
    return config.rows + SUM_WRITE_DELAY + packing_delay(config)


def sum_round_trip(config: AcceleratorConfig) -> int:
    """Least cycles between issuing two positions of which the second reads the sum that the first writes."""
    return sum_write_delay(config) + 1 - sum_read_delay(config)


def adder_latency(arithmetic: Arithmetic) -> int:
    """Cycles from the adder's codes to their sum's, of the arithmetic's adder."""
    return RESCALED_ADDER_LATENCY if arithmetic.adder == "rescaled" else ADDER_LATENCY


def code_delay(arithmetic: Arithmetic) -> int:
    """Cycles from issuing a position to the cycle in which column lane 0 looks its code up in the table."""
    return OPERAND_DELAY + REQUANTIZER_LATENCY + adder_latency(arithmetic)


def output_delay(config: AcceleratorConfig) -> int:
    """Cycles from issuing a position to the cycle that writes its row of the output scratchpad."""
    return code_delay(config.arithmetic) + 2 + config.columns


def settings_delay(config: AcceleratorConfig) -> int:
    """Cycles from issuing an instruction's last result until the lanes' settings may become those of the next one.

    The last lane has then looked it up in its table; where columns share lanes, settings are ahead of the last columns.
    """
    return code_delay(config.arithmetic) + (config.columns if config.lane_columns > 1 else 0)


def counters_delay(config: AcceleratorConfig) -> int:
    """The same for COUNTERS, which change nothing but what the lanes do last: they follow on the heels of a result."""
    return 2 + (config.columns if config.lane_columns > 1 else 0)


def depthwise_delay(taps: int) -> int:
    """Cycles from issuing a DEPTHWISE output's first code until its sum is where another position's would be."""
    return taps + 1


def depthwise_round_trip(taps: int) -> int:
    """Least cycles from a segment's first code to the next one's, which carries on its sums and has other weights.

    A DEPTHWISE of more than one segment takes at least so long for each; without codes to read, nothing is issued.
    """
    return taps + 3


def rotator_stages(rows: int) -> int:
    """Registers between the skewed operands and the array's rows, output stationary: one for two levels of switches."""
    return ((rows - 1).bit_length() + 1) // 2


def group_lead(config: AcceleratorConfig) -> int:
    """Cycles from a group's event until its first position has its turn; its sums start to move no later than that."""
    return max(1, config.rows - 4 - rotator_stages(config.rows) - packing_delay(config))


def group_read_delay(config: AcceleratorConfig) -> int:
    """Cycles from a group's event until accumulator lane 0 reads the first of its sums, the last position's."""
    issue = group_lead(config) + WINDOW_LATENCY
    return issue + OPERAND_CODE_DELAY + rotator_stages(config.rows) + packing_delay(config) - config.rows


def group_commit_delay(config: AcceleratorConfig) -> int:
    """Cycles from a group's event until its first position's issue; from then on results of the group before move."""
    return group_lead(config) + WINDOW_LATENCY


def group_product_delay(config: AcceleratorConfig) -> int:
    """Cycles from a position's issue until the last row's element of column 0 adds its product."""
    return config.rows + OPERAND_CODE_DELAY + rotator_stages(config.rows) + 1 + packing_delay(config)


def group_write_delay(config: AcceleratorConfig) -> int:
    """Cycles from that issue until accumulator lane 0 writes the first result, the last position's."""
    return config.rows + OPERAND_CODE_DELAY + rotator_stages(config.rows) + 3 + packing_delay(config)


def group_due(config: AcceleratorConfig) -> int:
    """Place in a group's last tile whose turn is followed by the next event."""
    return max(config.rows - group_lead(config) - 1, 0)


def group_weight_delay(config: AcceleratorConfig) -> int:
    """Cycles from a position's issue to the read of the weight row with the number of its place."""
    return 1 + rotator_stages(config.rows)


GROUP_DELAYS = (
    group_lead,
    group_read_delay,
    group_commit_delay,
    group_product_delay,
    group_write_delay,
    group_weight_delay,
    group_due,
)
"""What the output stationary dataflow takes."""
