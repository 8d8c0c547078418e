"""The accumulators after a CONVOLVE, in Python integers."""

from __future__ import annotations

from typing import Any

from emulator import AcceleratorConfig
from emulator.instructions import (
    PARAMETER_ENTRIES,
    Instruction,
)
from tests.rtl.array.compute_bench import ComputeState


def oracle(config: AcceleratorConfig, s: ComputeState, i: Instruction, sums: Any, flags: Any) -> None:
    """Contract, section 2, in Python integers: the accumulators after one instruction that is legal throughout."""
    a = config.arithmetic
    low, high = a.accumulator_range

    def signed(value: int, bits: int) -> int:
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value

    zero_point = signed(i["zero_point"], a.activation_bits)
    count, blocks = i["output_height"] * i["output_width"], i["further_blocks"] + 1
    for row, p in enumerate([*range(count)] * blocks, i["accumulator_row"]):
        oy, ox = divmod(p, i["output_width"])
        block = (row - i["accumulator_row"]) // count
        entry = (i["parameters"] + block) % PARAMETER_ENTRIES
        for c in range(config.columns):
            if i["carry"]:
                total, flag = int(sums[row][c]), bool(flags[row][c])
            else:
                word = int.from_bytes(bytes(s.parameters[entry, :4, c]), "little")
                total, flag = signed(word, a.bias_bits), False
            tile = i["weight_row"] + block * config.rows
            for ky in range(i["kernel_height"]):
                for kx in range(i["kernel_width"]):
                    y = oy * i["stride_height"] + ky * i["dilation_height"] - i["pad_top"]
                    x = ox * i["stride_width"] + kx * i["dilation_width"] - i["pad_left"]
                    for channel in range(i["channel_rows"]):
                        if 0 <= y < i["input_height"] and 0 <= x < i["input_width"]:
                            pixel = i["input_row"] + (y * i["input_width"] + x) * i["pixel_rows"] + channel
                            for r in range(config.rows):
                                code = signed(int(s.activation[pixel, r]), a.activation_bits)
                                weight = signed(int(s.weight[tile + r, c]), a.weight_bits)
                                if config.weight_zero_points:
                                    weight -= signed(int(s.parameters[entry, 9, c]), a.weight_bits)
                                total += (code - zero_point) * weight
                                if not low <= total <= high:
                                    flag = True
                                    if a.overflow == "saturate":
                                        total = min(max(total, low), high)
                                    else:
                                        total = signed(total, a.accumulator_bits)
                        tile += blocks * config.rows
            sums[row][c], flags[row][c] = total, flag
