"""The few accelerators that all simulated tests share: each is built once per simulator, and the build is cached."""

from __future__ import annotations

from emulator import AcceleratorConfig, Arithmetic

CONFIGS = {
    "4x4": AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=4 * 60, weight_scratchpad_bytes=4 * 40,
        operand_scratchpad_bytes=4 * 40, output_scratchpad_bytes=4 * 30, accumulator_bytes=4 * 12 * 5,
        depthwise_taps=3, arithmetic=Arithmetic(accumulator_bits=12),
    ),
    "5x3": AcceleratorConfig(
        rows=5, columns=3, dataflow="output_stationary", activation_scratchpad_bytes=5 * 70,
        weight_scratchpad_bytes=3 * 90, operand_scratchpad_bytes=3 * 40, output_scratchpad_bytes=3 * 24,
        accumulator_bytes=3 * 10 * 3, bus_bytes=16,
        arithmetic=Arithmetic(
            activation_bits=6, weight_bits=4, accumulator_bits=10, overflow="wrap", multiplier_bits=15,
            rounding="half_up",
        ),
    ),
    "1x1": AcceleratorConfig(
        rows=1, columns=1, activation_scratchpad_bytes=80, weight_scratchpad_bytes=50, operand_scratchpad_bytes=48,
        output_scratchpad_bytes=32, accumulator_bytes=40, bus_bytes=32,
        arithmetic=Arithmetic(accumulator_bits=8, multiplier_bits=31, rounding="toward_zero"),
    ),
    "3x11": AcceleratorConfig(
        rows=3, columns=11, activation_scratchpad_bytes=3 * 90, weight_scratchpad_bytes=11 * 30,
        operand_scratchpad_bytes=11 * 40, output_scratchpad_bytes=11 * 24, accumulator_bytes=11 * 6 * 20,
        counters=False,
        arithmetic=Arithmetic(accumulator_bits=48, overflow="wrap", multiplier_bits=12, rounding="floor"),
    ),
    "2x6": AcceleratorConfig(
        rows=2, columns=6, dataflow="output_stationary", activation_scratchpad_bytes=2 * 64,
        weight_scratchpad_bytes=6 * 60, operand_scratchpad_bytes=6 * 40, output_scratchpad_bytes=6 * 24,
        accumulator_bytes=6 * 2 * 11, bus_bytes=32, packed_multipliers=True,
        arithmetic=Arithmetic(accumulator_bits=16, rounding="half_away"),
    ),
}  # fmt: skip
"""R = C, R > C, R < C and a single element; both dataflows, both overflows; memories small enough to force tiling;
lanes with and without depthwise hardware."""

VERSION_2 = {
    "5x4": AcceleratorConfig(
        rows=5, columns=4, activation_scratchpad_bytes=5 * 60, weight_scratchpad_bytes=4 * 60,
        operand_scratchpad_bytes=4 * 50, output_scratchpad_bytes=4 * 36, accumulator_bytes=4 * 12 * 7 // 4,
        weight_zero_points=True, raw_outputs=True, packed_multipliers=True, depthwise_taps=9,
        arithmetic=Arithmetic(accumulator_bits=14, multiplier_bits=31, rounding="double", adder="rescaled"),
    ),
    "3x5": AcceleratorConfig(
        rows=3, columns=5, dataflow="output_stationary", activation_scratchpad_bytes=3 * 70,
        weight_scratchpad_bytes=5 * 70, operand_scratchpad_bytes=5 * 40, output_scratchpad_bytes=5 * 30,
        accumulator_bytes=5 * 10 * 20 // 8, bus_bytes=16, weight_zero_points=True, raw_outputs=True, depthwise_taps=1,
        arithmetic=Arithmetic(
            activation_bits=7, weight_bits=5, accumulator_bits=12, overflow="wrap", multiplier_bits=18,
            rounding="double",
        ),
    ),
}  # fmt: skip
"""With what version 2 of the contract adds: `double`, both adders, weights with zero points, bytes of sums."""
