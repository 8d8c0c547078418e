"""Random instructions of the post-process unit, memories that suit them, and configs of all roundings."""

from __future__ import annotations

from typing import Any

import numpy as np

from emulator import AcceleratorConfig, Arithmetic
from emulator.instructions import Instruction, Mode, Opcode, fields_of, instruction
from tests.rtl.post_processing.post_process_bench import Driver


def make_config(
    columns: int,
    counters: bool = True,
    raw_outputs: bool = False,
    depthwise_taps: int = 0,
    weight_zero_points: bool = False,
    post_process_lanes: int = 0,
    **arithmetic: Any,
) -> AcceleratorConfig:
    """Small memories, of depths that are no powers of two: 40 operand rows, 37 output rows, 27 accumulator rows."""
    settings = Arithmetic(**arithmetic)
    return AcceleratorConfig(
        rows=2,
        columns=columns,
        activation_scratchpad_bytes=64,
        weight_scratchpad_bytes=8 * columns,
        operand_scratchpad_bytes=40 * columns,
        output_scratchpad_bytes=37 * columns,
        accumulator_bytes=-(-27 * columns * settings.accumulator_bits // 8),
        counters=counters,
        raw_outputs=raw_outputs,
        depthwise_taps=depthwise_taps,
        weight_zero_points=weight_zero_points,
        post_process_lanes=post_process_lanes,
        arithmetic=settings,
    )


CONFIGS = [
    make_config(4, accumulator_bits=24, multiplier_bits=24),
    make_config(1, accumulator_bits=48, multiplier_bits=15, rounding="half_away", depthwise_taps=1),
    make_config(3, counters=False, accumulator_bits=12, activation_bits=4, multiplier_bits=31, rounding="toward_zero"),
    make_config(2, accumulator_bits=32, multiplier_bits=1, rounding="half_up"),
    make_config(2, accumulator_bits=36, activation_bits=6, multiplier_bits=27, rounding="floor"),
    make_config(3, accumulator_bits=32, multiplier_bits=31, rounding="double", adder="rescaled", raw_outputs=True),
    make_config(2, accumulator_bits=20, activation_bits=7, multiplier_bits=12, rounding="half_even", adder="rescaled"),
    make_config(2, accumulator_bits=48, activation_bits=5, multiplier_bits=9, rounding="double", raw_outputs=True),
    make_config(6, post_process_lanes=2, accumulator_bits=28, multiplier_bits=20),
    make_config(
        4, post_process_lanes=1, accumulator_bits=25, multiplier_bits=31, rounding="double", adder="rescaled",
        raw_outputs=True,
    ),
    make_config(3, depthwise_taps=3, accumulator_bits=13, weight_bits=6, multiplier_bits=8),
    make_config(2, depthwise_taps=9, weight_zero_points=True, accumulator_bits=12, activation_bits=7, overflow="wrap"),
]  # fmt: skip


class Programs:
    """Random instructions, most of them legal, and random contents of the memories."""

    def __init__(self, config: AcceleratorConfig, seed: int, wild: float = 0.05):
        self.config, self.rng, self.wild = config, np.random.default_rng(seed), wild
        self.waiting = 0

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def number(self, low: int, high: int) -> int:
        """low … high, both included."""
        return int(self.rng.integers(low, high + 1))

    def row(self, depth: int, rows: int) -> int:
        """First of `rows` rows of a memory; seldom too high."""
        last = max(depth - rows, 0)
        return self.number(last, depth + 3) if self.chance(self.wild) else self.number(0, last)

    def codes(self) -> np.ndarray[Any, np.dtype[np.int8]]:
        return self.rng.integers(-128, 128, self.config.columns).astype(np.int8)

    def parameter_row(self) -> tuple[int, np.ndarray[Any, np.dtype[np.int8]]]:
        """A row of a parameter entry, whose shifts mostly suit the sums."""
        row = self.number(0, 255)
        if row % 16 == 8 and self.chance(0.9):
            sums = self.config.arithmetic.accumulator_bits - 6 if self.chance(0.5) else 4  # or of codes
            high = self.config.arithmetic.multiplier_bits + sums
            return row, self.rng.integers(min(high - 6, 50), min(high, 62) + 1, self.config.columns).astype(np.int8)
        return row, self.codes()

    def sums(self) -> tuple[int, Any, Any]:
        bits, columns = self.config.arithmetic.accumulator_bits, self.config.columns
        total = self.rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), columns) >> self.number(0, bits - 8)
        return self.number(0, self.config.accumulator_depth - 1), total, self.rng.integers(0, 2, columns, np.uint8)

    def clamp(self) -> dict[str, int]:
        limits = [self.number(-128, 127), self.number(-128, 127)]
        if not self.chance(0.1):
            limits.sort()
        if self.chance(0.5):
            limits = list(self.config.arithmetic.activation_range)
        return {"zero_point": self.number(-20, 20), "y_min": limits[0], "y_max": limits[1]}

    def after(self) -> dict[str, int]:
        steps = {"add": self.number(0, 1), "table": self.number(0, 1), "lanes": self.number(0, self.config.columns + 1)}
        return {"parameters": self.number(0, 15), **self.clamp(), **steps}

    def tokens(self) -> dict[str, int]:
        return {"wait": 0, "signal": self.number(0, 15)}

    def requantize(self) -> Instruction:
        """Seldom of several column blocks, as many as the memories have rows for."""
        count, operand_stride, output_stride = self.number(1, 12), self.number(0, 3), self.number(0, 3)
        further, config = self.number(1, 3) if self.chance(0.3) else 0, self.config
        further = min(further, config.accumulator_depth // count - 1, config.output_depth // 12)
        return instruction(
            Opcode.REQUANTIZE,
            **self.tokens(),
            counter_row=self.row(config.output_depth, 12 * further),
            accumulator_row=self.row(config.accumulator_depth, (further + 1) * count),
            operand_row=self.row(config.operand_depth, (count - 1) * operand_stride + 1 + further),
            output_row=self.row(config.output_depth, (count - 1) * output_stride + 1 + further),
            count=count,
            operand_stride=operand_stride,
            output_stride=output_stride,
            **self.after(),
            further_blocks=further,
            **({"byte": self.number(0, 6) * self.number(0, 1)} if self.config.raw_outputs else {}),
        )

    def reduce(self) -> Instruction:
        names = ("stride_height", "stride_width", "dilation_height", "dilation_width")
        height, width, pixel_rows = self.number(1, 4), self.number(1, 4), self.number(1, 2)
        kernel = [self.number(1, 3), self.number(1, 3)] if self.chance(0.7) else [1, 2]
        output = [self.number(1, 3), self.number(1, 3)]
        stride = self.number(0, 2)
        steps = {name: self.number(1, 3) for name in names}
        if self.chance(0.03):  # so far outside that its coordinate's lowest 14 bits, and 15, are inside again
            axis = self.number(0, 1)
            kernel, output = [227 - 226 * axis, 1 + 226 * axis], [1, 1]
            steps[names[2 + axis]] = 145
        return instruction(
            Opcode.REDUCE,
            **self.tokens(),
            input_row=self.row(self.config.operand_depth, height * width * pixel_rows),
            output_row=self.row(self.config.output_depth, (output[0] * output[1] - 1) * stride + 1),
            output_height=output[0],
            output_width=output[1],
            kernel_height=kernel[0],
            kernel_width=kernel[1],
            input_height=height,
            input_width=width,
            **steps,
            pad_top=self.number(-1, 2),
            pad_left=self.number(-1, 2),
            pixel_rows=pixel_rows,
            output_stride=stride,
            mode=self.number(0, 3),
            input_zero_point=self.number(-128, 127),
            second_zero_point=self.number(-128, 127),
            **self.after(),
        )

    def depthwise(self) -> Instruction:
        """Small kernels and maps, seldom lines longer than a strip; sums go on where the last instruction left some."""
        height, width, pixel_rows = self.number(1, 5), self.number(1, 6), self.number(1, 2)
        if height * width * pixel_rows > self.config.operand_depth:
            pixel_rows = 1
        output = [self.number(1, 4), self.number(1, 7)]
        if self.chance(0.15):
            output = [self.number(1, 2), self.number(60, 70)]
        kernel = [self.number(1, 4), self.number(1, 5)] if self.chance(0.6) else [3, 3]
        if self.chance(0.05):
            kernel = [1, self.number(9, 11)]
        dilation = [self.number(1, 2), self.number(1, 2)] if self.chance(0.3) else [1, 1]
        if self.chance(0.03):  # as far outside as in `reduce`
            kernel, dilation, output = [130, 1], [128, 1], [1, 2]
        count, stride = output[0] * output[1], self.number(0, 1) if output[0] * output[1] < 30 else 0
        carry = self.chance(0.5) and (count <= self.waiting or self.chance(self.wild))
        keep = self.chance(0.3) and (count <= 64 or self.chance(self.wild))
        self.waiting = count if keep else 0
        return instruction(
            Opcode.DEPTHWISE,
            **self.tokens(),
            input_row=self.row(self.config.operand_depth, height * width * pixel_rows),
            output_row=self.row(self.config.output_depth, (count - 1) * stride + 1),
            output_height=output[0],
            output_width=output[1],
            kernel_height=kernel[0],
            kernel_width=kernel[1],
            input_height=height,
            input_width=width,
            stride_height=self.number(1, 2),
            stride_width=self.number(1, 4) if self.chance(0.3) else 1,
            dilation_height=dilation[0],
            dilation_width=dilation[1],
            pad_top=self.number(-1, 2),
            pad_left=self.number(-1, 2),
            pixel_rows=pixel_rows,
            output_stride=stride,
            carry=int(carry),
            keep=int(keep),
            input_zero_point=self.number(*self.config.arithmetic.activation_range),
            weight_word=self.number(0, 63),
            **self.after() | {"add": 0},
        )

    def adder(self) -> Instruction:
        bits, rescaled = self.number(1, 31), {}
        if self.config.arithmetic.adder == "rescaled":
            places = self.number(0, self.config.arithmetic.multiplier_bits)
            rescaled = {
                "multiplier": self.number(0, (1 << bits) - 1),
                "a_shift": self.number(places, min(places + 9, 62)),
                "b_shift": self.number(0, 62),
            }
        return instruction(
            Opcode.ADDER,
            **self.tokens(),
            a_multiplier=self.number(0, (1 << bits) - 1),
            b_multiplier=self.number(0, (1 << bits) - 1),
            shift=min(bits + self.number(-1, 2) + (20 if rescaled else 0), 62),
            a_zero_point=self.number(-128, 127),
            b_zero_point=self.number(-128, 127),
            **self.clamp(),
            subtract=self.number(0, 1),
            **rescaled,
        )

    def counters(self) -> Instruction:
        return instruction(Opcode.COUNTERS, **self.tokens(), output_row=self.row(self.config.output_depth, 12))

    def any(self) -> Instruction:
        makers = [self.requantize, self.requantize, self.reduce, self.reduce, self.adder]
        makers += [self.counters] * self.config.counters
        makers += [self.depthwise] * 3 * (self.config.depthwise_taps > 0)
        return makers[self.number(0, len(makers) - 1)]()


def fill(driver: Driver, programs: Programs) -> None:
    """Something in every row of every memory."""
    config = driver.config
    for row in range(config.operand_depth):
        driver.cycle(write=("operand", row, programs.codes()))
    for row in range(1 << config.arithmetic.activation_bits):
        driver.cycle(write=("table", row, programs.codes()))
    for word in range(64):
        for tap in range(config.depthwise_taps):
            driver.cycle(write=("depthwise", word * config.depthwise_pitch + tap, programs.codes()))
    for _ in range(600):
        driver.cycle(write=("parameter", *programs.parameter_row()), sums=programs.sums())


def mean_of_rows(count: int) -> Instruction:
    """The first `count` rows' sum, by the multiplier and shift of entry 0, to row 0."""
    ones = ("output_height", "output_width", "kernel_height", "input_height", "stride_height", "stride_width",
            "dilation_height", "dilation_width", "pixel_rows")  # fmt: skip
    fields = {field.name: 0 for field in fields_of(Opcode.REDUCE)} | dict.fromkeys(ones, 1)
    fields |= {"kernel_width": count, "input_width": count, "mode": int(Mode.SUM), "y_min": -128, "y_max": 127}
    return Instruction(Opcode.REDUCE, fields)
