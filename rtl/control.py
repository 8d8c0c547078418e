"""The bundles of control that travel through the lanes, one lane per cycle, alongside the systolic wavefront."""

from amaranth import signed
from amaranth.lib import data
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig


def row_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control of an activation lane; moves down the array's rows.

    address : activation scratchpad row
    valid : 0 where the position is padding (contributes 0)
    swap : first position of a weight tile
    load : this row's weight is on the weight buses
    """
    return data.StructLayout({"address": bits_for(config.activation_depth - 1), "valid": 1, "swap": 1, "load": 1})


def column_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control of a column lane; moves along the array's columns.

    weight_address : weight scratchpad row
    accumulator_address, carry : accumulator row to read; whether a sum starts there (1) or at the bias (0)
    sum_write, sum_address : write what leaves the array's bottom
    code_address : output scratchpad row to read
    pool_first, pool_valid : first position of a window; 0 where the position is padding
    code_write, code_write_address : write the requantizer's code
    parameter_shift : the byte read enters the parameter register
    counter_write : write the counters' lowest byte (at code_write_address) and shift them down
    """
    accumulator, code = bits_for(config.accumulator_depth - 1), bits_for(config.output_depth - 1)
    return data.StructLayout(
        {
            "weight_address": bits_for(config.weight_depth - 1),
            "accumulator_address": accumulator,
            "carry": 1,
            "sum_write": 1,
            "sum_address": accumulator,
            "code_address": code,
            "pool_first": 1,
            "pool_valid": 1,
            "code_write": 1,
            "code_write_address": code,
            "parameter_shift": 1,
            "counter_write": 1,
        }
    )


def post_processing(config: AcceleratorConfig) -> data.StructLayout:
    """Settings of the post-processing lanes, constant while an instruction executes.

    pool : operands are pooled codes (1) or accumulators (0)
    average : pool sums code − input_zero_point (1) or keeps the largest code (0)
    input_zero_point : of the pooled tensor
    zero_point, y_min, y_max : of the result
    """
    return data.StructLayout(
        {
            "pool": 1,
            "average": 1,
            "input_zero_point": signed(config.arithmetic.activation_bits),
            "zero_point": signed(8),
            "y_min": signed(8),
            "y_max": signed(8),
        }
    )
