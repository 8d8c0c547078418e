"""The post-process unit: RTL and machine agree in every cycle, and both with the contract's sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emulator import AcceleratorConfig, Arithmetic
from emulator.instructions import Instruction, Mode, Opcode, instruction
from emulator.timing import WINDOW_SETUP_CYCLES, output_delay
from tests import oracle
from tests.rtl.post_process_bench import Driver, play


def make_config(columns: int, counters: bool = True, **arithmetic: Any) -> AcceleratorConfig:
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
        arithmetic=settings,
    )


CONFIGS = [
    make_config(4, accumulator_bits=24, multiplier_bits=24),
    make_config(1, accumulator_bits=48, multiplier_bits=15, rounding="half_away"),
    make_config(3, counters=False, accumulator_bits=12, activation_bits=4, multiplier_bits=31, rounding="toward_zero"),
    make_config(2, accumulator_bits=32, multiplier_bits=1, rounding="half_up"),
    make_config(2, accumulator_bits=36, activation_bits=6, multiplier_bits=27, rounding="floor"),
]


class Programs:
    """Random instructions, most of them legal, and random contents of the memories."""

    def __init__(self, config: AcceleratorConfig, seed: int, wild: float = 0.05):
        self.config, self.rng, self.wild = config, np.random.default_rng(seed), wild

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
            high = self.config.arithmetic.multiplier_bits + self.config.arithmetic.accumulator_bits - 6
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
        count, operand_stride, output_stride = self.number(1, 12), self.number(0, 3), self.number(0, 3)
        return instruction(
            Opcode.REQUANTIZE,
            **self.tokens(),
            accumulator_row=self.row(self.config.accumulator_depth, count),
            operand_row=self.row(self.config.operand_depth, (count - 1) * operand_stride + 1),
            output_row=self.row(self.config.output_depth, (count - 1) * output_stride + 1),
            count=count,
            operand_stride=operand_stride,
            output_stride=output_stride,
            **self.after(),
        )

    def reduce(self) -> Instruction:
        names = ("stride_height", "stride_width", "dilation_height", "dilation_width")
        height, width, pixel_rows = self.number(1, 4), self.number(1, 4), self.number(1, 2)
        kernel = [self.number(1, 3), self.number(1, 3)] if self.chance(0.7) else [1, 2]
        output = [self.number(1, 3), self.number(1, 3)]
        stride = self.number(0, 2)
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
            **{name: self.number(1, 3) for name in names},
            pad_top=self.number(-1, 2),
            pad_left=self.number(-1, 2),
            pixel_rows=pixel_rows,
            output_stride=stride,
            mode=self.number(0, 3),
            input_zero_point=self.number(-128, 127),
            second_zero_point=self.number(-128, 127),
            **self.after(),
        )

    def adder(self) -> Instruction:
        bits = self.number(1, 31)
        return instruction(
            Opcode.ADDER,
            **self.tokens(),
            a_multiplier=self.number(0, (1 << bits) - 1),
            b_multiplier=self.number(0, (1 << bits) - 1),
            shift=min(bits + self.number(-1, 2), 62),
            a_zero_point=self.number(-128, 127),
            b_zero_point=self.number(-128, 127),
            **self.clamp(),
            subtract=self.number(0, 1),
        )

    def counters(self) -> Instruction:
        return instruction(Opcode.COUNTERS, **self.tokens(), output_row=self.row(self.config.output_depth, 12))

    def any(self) -> Instruction:
        makers = [self.requantize, self.requantize, self.reduce, self.reduce, self.adder]
        makers += [self.counters] * self.config.counters
        return makers[self.number(0, len(makers) - 1)]()


def fill(driver: Driver, programs: Programs) -> None:
    """Something in every row of every memory."""
    config = driver.config
    for row in range(config.operand_depth):
        driver.cycle(write=("operand", row, programs.codes()))
    for row in range(1 << config.arithmetic.activation_bits):
        driver.cycle(write=("table", row, programs.codes()))
    for _ in range(600):
        driver.cycle(write=("parameter", *programs.parameter_row()), sums=programs.sums())


def race(driver: Driver, programs: Programs, cycles: int) -> None:
    """Instructions while every memory changes and is read, with faults, halts and new runs."""
    config, pending, index = driver.config, programs.any(), 0
    while len(driver.inputs["valid"]) < cycles:
        write = None
        if programs.chance(0.5):
            name = ("operand", "table", "parameter")[programs.number(0, 2)]
            row, codes = programs.parameter_row()
            if name != "parameter":
                depth = config.operand_depth if name == "operand" else 1 << config.arithmetic.activation_bits
                row, codes = programs.number(0, depth - 1), programs.codes()
            write = (name, row, codes)
        taken = driver.cycle(
            pending if programs.chance(0.8) else None,
            index,
            bank_reads=programs.number(0, 3) if programs.chance(0.5) else 0,
            write=write,
            sums=programs.sums() if programs.chance(0.3) else None,
            output_address=programs.number(0, config.output_depth - 1) if programs.chance(0.5) else None,
        )
        if taken:
            pending, index = programs.any(), index + 1
        if driver.port["fault"] or programs.chance(0.002):
            driver.cycle(pending if programs.chance(0.5) else None, index)
            while driver.port["busy"]:
                driver.cycle(halt=True)
            driver.cycle(halt=True)
            driver.clear()
            index = 0
    for _ in range(400):
        driver.cycle()
    for row in range(config.output_depth):
        driver.cycle(output_address=row)
    driver.cycle()


def test_rtl_is_the_machine_in_every_cycle(simulator: str) -> None:
    """Ports, the output scratchpad as STORE sees it at any time, and the counters at the end."""
    drivers = []
    for seed, config in enumerate(CONFIGS):
        driver, programs = Driver(config), Programs(config, seed)
        fill(driver, programs)
        race(driver, programs, 3000)
        drivers.append(driver)
    faults = finishes = 0
    for driver, shown in zip(drivers, play(drivers, simulator), strict=True):
        expected = {name: np.array(values, object) for name, values in driver.outputs.items()}
        # What accompanies a pulse counts only with it.
        for pulse, names in (("finished", ("signals", "finished_index")), ("fault", ("fault_code", "fault_index"))):
            for name in names:
                expected[name] = expected[name] * expected[pulse]
                shown[name] = shown[name] * shown[pulse]
        for name, values in expected.items():
            different = np.flatnonzero(values != shown[name])[:5]
            assert not len(different), (driver.config, name, different, values[different], shown[name][different])
        assert shown["counts"][-1] == driver.counts()
        finishes += int(expected["finished"].sum())
        faults += int(expected["fault"].sum())
    assert finishes > 150 and faults > 5


class Contract:
    """What instructions do to the output scratchpad and the counters, with plain integers."""

    def __init__(self, driver: Driver):
        self.config, s = driver.config, driver.state
        self.operand, self.table, self.output = s.operand.tolist(), s.table.tolist(), s.output.tolist()
        self.sums, self.flags = s.sums.tolist(), s.overflowed.tolist()
        self.parameters = s.parameters.tolist()
        self.counts = [[0, 0, 0] for _ in range(self.config.columns)]
        self.adder: Instruction | None = None

    def code(self, byte: int) -> int:
        """The code in the low activation_bits of a byte."""
        return oracle.overflow(byte, self.config.arithmetic.activation_bits, "wrap")

    def finish(self, i: Instruction, operand: int, b: int | None, lane: int) -> int:
        """Requantizer, adder, table."""
        arithmetic = self.config.arithmetic
        entry = [row[lane] for row in self.parameters[i["parameters"]]]
        multiplier = int.from_bytes(bytes(entry[4:8]), "little") % (1 << arithmetic.multiplier_bits)
        limits = (i["zero_point"], min(i["y_min"], i["y_max"]), i["y_max"])
        rest = (arithmetic.rounding, arithmetic.activation_bits)
        code, clipped = oracle.requantize(operand, multiplier, entry[8] % 64, *limits, *rest)
        self.counts[lane][1] += clipped and lane < i["lanes"]
        a = self.adder
        if i["add"]:
            assert a is not None
            mask = (1 << arithmetic.adder_multiplier_bits) - 1
            total = (code - a["a_zero_point"]) * (a["a_multiplier"] & mask)
            if b is not None:
                sign = -1 if a["subtract"] else 1
                total += sign * (b - a["b_zero_point"]) * (a["b_multiplier"] & mask)
            limits = (a["zero_point"], min(a["y_min"], a["y_max"]), a["y_max"])
            code, clipped = oracle.requantize(total, 1, a["shift"], *limits, *rest)
            self.counts[lane][2] += clipped and lane < i["lanes"]
        return self.table[self.code(code) + (1 << (arithmetic.activation_bits - 1))][lane] if i["table"] else code

    def requantize(self, i: Instruction) -> None:
        for p in range(i["count"]):
            row, lanes = i["accumulator_row"] + p, range(self.config.columns)
            operand = self.operand[i["operand_row"] + p * i["operand_stride"]] if i["add"] else [0] * len(lanes)
            for lane in lanes:
                self.counts[lane][0] += self.flags[row][lane] and lane < i["lanes"]
            codes = [self.finish(i, self.sums[row][lane], self.code(operand[lane]), lane) for lane in lanes]
            self.output[i["output_row"] + p * i["output_stride"]] = codes

    def reduce(self, i: Instruction) -> None:
        size = (i["input_height"], i["input_width"])
        dilation = (i["dilation_height"], i["dilation_width"])
        row = i["output_row"]
        for y in range(i["output_height"]):
            for x in range(i["output_width"]):
                corner = (y * i["stride_height"] - i["pad_top"], x * i["stride_width"] - i["pad_left"])
                taps = oracle.window(size, corner, (i["kernel_height"], i["kernel_width"]), dilation)
                rows = [t and i["input_row"] + (t[0] * size[1] + t[1]) * i["pixel_rows"] for t in taps]
                codes = []
                for lane in range(self.config.columns):
                    window = [None if r is None else self.code(self.operand[r][lane]) for r in rows]
                    codes.append(self.finish(i, self.gather(i, window), window[-1], lane))
                self.output[row], row = codes, row + i["output_stride"]

    def gather(self, i: Instruction, window: list[int | None]) -> int:
        """The requantizer's operand."""
        there, zero = [code for code in window if code is not None], i["input_zero_point"]
        if i["mode"] == Mode.MAXIMUM:
            return max([self.config.arithmetic.activation_range[0], *there])
        if i["mode"] == Mode.SUM:
            return sum(code - zero for code in there)
        first = 0 if window[0] is None else window[0] - zero
        later = [code for code in window[1:] if code is not None]
        return first * (later[-1] - i["second_zero_point"]) if i["mode"] == Mode.PRODUCT and later else first

    def counters(self, i: Instruction) -> None:
        for row in range(12):
            self.output[i["output_row"] + row] = [
                oracle.overflow(counts[row // 4] >> 8 * (row % 4), 8, "wrap") for counts in self.counts
            ]

    def execute(self, i: Instruction) -> None:
        if i.opcode == Opcode.ADDER:
            self.adder = i
        else:
            getattr(self, i.opcode.name.lower())(i)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.columns}x{config.arithmetic.rounding}")
def test_codes_are_the_contracts(config: AcceleratorConfig) -> None:
    """Every kind of instruction, one after the other, every row and counter against fractions."""
    driver, programs = Driver(config), Programs(config, 77, wild=0)
    fill(driver, programs)
    contract, kinds = Contract(driver), set()
    pending = [programs.adder(), *(programs.any() for _ in range(80))]
    for i in pending:
        while not driver.cycle(i):
            pass
        contract.execute(i)
        kinds.add((i.opcode, i["mode"] if i.opcode == Opcode.REDUCE else 0))
        while driver.port["busy"]:
            driver.cycle()
        assert driver.outputs["fault"][-1] == 0 and driver.port["finished"] == 0, i
        assert driver.state.output.tolist() == contract.output, i
    expected = [list(counts) for counts in zip(*contract.counts, strict=True)] if config.counters else 0
    assert np.array_equal(driver.state.lane_counters, np.array(expected) + 0 * driver.state.lane_counters)
    assert len(kinds) == 6 + config.counters


def test_one_position_per_cycle() -> None:
    """Cycles of an instruction: until its first position, one for each, and until its last row is written."""
    for config in CONFIGS:
        driver, programs = Driver(config), Programs(config, 5, wild=0)
        for maker, start in ((programs.requantize, 4), (programs.reduce, 4 + WINDOW_SETUP_CYCLES)):
            i = maker()
            driver.cycle()
            steps = i.fields.get("count", 1)
            for name in ("output_height", "output_width", "kernel_height", "kernel_width"):
                steps *= i.fields.get(name, 1)
            begin = len(driver.inputs["valid"])
            assert driver.cycle(i)
            while not driver.port["finished"]:
                driver.cycle()
            work = np.flatnonzero(driver.outputs["work"][begin:])
            assert work.tolist() == list(range(start, start + steps))
            assert len(driver.inputs["valid"]) - begin == work[-1] + output_delay(config) + 1
