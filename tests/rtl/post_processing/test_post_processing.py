"""The post-process unit: RTL and machine agree in every cycle, and both with the contract's sentences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.execution.profile import Work, instruction_work
from emulator import AcceleratorConfig, Arithmetic, raw_average_multiplier
from emulator.instructions import Instruction, Mode, Opcode, fields_of
from emulator.operators.raw_average_pool import EXACT_ROUNDINGS
from emulator.timing import WINDOW_SETUP_CYCLES, output_delay
from tests import oracle
from tests.contract_vectors import group_by, load_vectors
from tests.rtl.post_processing.post_process_bench import Driver, play
from tests.rtl.post_processing.post_process_programs import CONFIGS, Programs, fill, make_config


def race(driver: Driver, programs: Programs, cycles: int) -> None:
    """Instructions while every memory changes and is read, with faults, halts and new runs."""
    config, pending, index = driver.config, programs.any(), 0
    while len(driver.inputs["valid"]) < cycles:
        write = None
        if programs.chance(0.5):
            depths = {"operand": config.operand_depth, "table": 1 << config.arithmetic.activation_bits}
            depths |= {"depthwise": 64 * config.depthwise_pitch} if config.depthwise_taps else {}
            name = ("parameter", *depths)[programs.number(0, len(depths))]
            row, codes = programs.parameter_row()
            if name != "parameter":
                depth = depths[name]
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


def sums_of_pairs(driver: Driver) -> None:
    """Windows of two codes, whose results come faster than columns that share a lane take them: 3, 5, 7."""
    for byte in range(5):
        driver.cycle(write=("parameter", 4 + byte, np.full(driver.config.columns, byte == 0, np.int8)))
    for row in range(4):
        driver.cycle(write=("operand", row, np.full(driver.config.columns, 1 + row, np.int8)))
    pairs = mean_of_rows(2).fields | {"output_width": 3, "input_width": 4, "output_stride": 1}
    driver.cycle(Instruction(Opcode.REDUCE, pairs))
    while driver.port["busy"]:
        driver.cycle()
    for row in range(3):
        driver.cycle(output_address=row)


def test_rtl_is_the_machine_in_every_cycle(simulator: str) -> None:
    """Ports, the output scratchpad as STORE sees it at any time, and the counters at the end."""
    drivers = []
    for seed, config in enumerate(CONFIGS):
        driver, programs = Driver(config), Programs(config, seed)
        fill(driver, programs)
        sums_of_pairs(driver)
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
        self.weights = s.depthwise_weights.tolist()
        self.waiting: dict[int, list[tuple[int, bool]]] = {}
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
        rest = (arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits)
        code, clipped = oracle.requantize(operand, multiplier, entry[8] % 64, *limits, *rest)
        if i.opcode == Opcode.REQUANTIZE and i["byte"]:
            code, clipped = oracle.overflow(operand >> 8 * (i["byte"] - 1), 8, "wrap"), False
        self.counts[lane][1] += clipped and lane < i["lanes"]
        if i["add"]:
            assert self.adder is not None
            a = self.adder
            total, multiplier = (self.rescaled if arithmetic.adder == "rescaled" else self.shared)(a, code, b)
            limits = (a["zero_point"], min(a["y_min"], a["y_max"]), a["y_max"])
            code, clipped = oracle.requantize(total, multiplier, a["shift"], *limits, *rest)
            self.counts[lane][2] += clipped and lane < i["lanes"]
        return self.table[self.code(code) + (1 << (arithmetic.activation_bits - 1))][lane] if i["table"] else code

    def shared(self, a: Instruction, code: int, b: int | None) -> tuple[int, int]:
        """The sum of both terms, and what it is multiplied with."""
        mask = (1 << self.config.arithmetic.adder_multiplier_bits) - 1
        total = (code - a["a_zero_point"]) * (a["a_multiplier"] & mask)
        if b is not None:
            sign = -1 if a["subtract"] else 1
            total += sign * (b - a["b_zero_point"]) * (a["b_multiplier"] & mask)
        return total, 1

    def rescaled(self, a: Instruction, code: int, b: int | None) -> tuple[int, int]:
        """The same of the rescaled adder, whose sum has 29 bits."""
        arithmetic, mask = self.config.arithmetic, (1 << self.config.arithmetic.multiplier_bits) - 1
        rounding = arithmetic.rounding, arithmetic.multiplier_bits
        left, right = (
            0 if x is None else oracle.rescaled_operand(x, a[f"{side}_zero_point"], m & mask, shift, *rounding)
            for side, x, m, shift in (
                ("a", code, a["a_multiplier"], a["a_shift"]),
                ("b", b, a["b_multiplier"], a["b_shift"]),
            )
        )
        return oracle.overflow(left - right if a["subtract"] else left + right, 29, "wrap"), a["multiplier"] & mask

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

    def depthwise(self, i: Instruction) -> None:
        size, dilation = (i["input_height"], i["input_width"]), (i["dilation_height"], i["dilation_width"])
        kernel, columns = (i["kernel_height"], i["kernel_width"]), range(self.config.columns)
        row, n = i["output_row"], 0
        for y in range(i["output_height"]):
            for x in range(i["output_width"]):
                corner = (y * i["stride_height"] - i["pad_top"], x * i["stride_width"] - i["pad_left"])
                taps = oracle.window(size, corner, kernel, dilation)
                rows = [t and i["input_row"] + (t[0] * size[1] + t[1]) * i["pixel_rows"] for t in taps]
                made = [self.depthwise_sum(i, rows, self.waiting[n] if i["carry"] else None, lane) for lane in columns]
                if i["keep"]:
                    self.waiting[n] = made
                else:
                    for lane, (_, flag) in enumerate(made):
                        self.counts[lane][0] += flag and lane < i["lanes"]
                    self.output[row] = [self.finish(i, made[lane][0], None, lane) for lane in columns]
                row, n = row + i["output_stride"], n + 1

    def depthwise_sum(
        self, i: Instruction, rows: list[int | None], waiting: list[tuple[int, bool]] | None, lane: int
    ) -> tuple[int, bool]:
        """One lane's sum over the window, and whether a step overflowed."""
        arithmetic, entry = self.config.arithmetic, [row[lane] for row in self.parameters[i["parameters"]]]
        bits = arithmetic.accumulator_bits
        bias = oracle.overflow(int.from_bytes(bytes(entry[:4]), "little"), min(bits, 32), "wrap")
        acc, overflowed = waiting[lane] if waiting else (bias, False)
        x, w = [], []
        for tap, row in enumerate(rows):
            place = divmod(tap, i["kernel_width"])
            word, index = oracle.depthwise_place(
                place, i["kernel_width"], i["dilation_width"], self.config.depthwise_taps
            )
            if row is not None:
                x.append(self.code(self.operand[row][lane]))
                weight = self.weights[(i["weight_word"] + word) % 64][index][lane]
                w.append(oracle.overflow(weight, arithmetic.weight_bits, "wrap"))
        made = (x, w, acc, i["input_zero_point"], bits, arithmetic.overflow, self.weight_zero_point(entry))
        total, flag = oracle.dot(*made)
        return total, flag or overflowed

    def weight_zero_point(self, entry: list[int]) -> int:
        """Of a lane's parameters."""
        bits = self.config.arithmetic.weight_bits
        return oracle.overflow(entry[9], bits, "wrap") if self.config.weight_zero_points else 0

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
        if i.opcode == Opcode.DEPTHWISE:
            clear_unused_places(driver, i)
            contract.weights = driver.state.depthwise_weights.tolist()
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
    assert len(kinds) == 6 + config.counters + (config.depthwise_taps > 0)
    assert not config.depthwise_taps or config.arithmetic.accumulator_bits > 20 or sum(expected[0]) > 50


def clear_unused_places(driver: Driver, i: Instruction) -> None:
    """Places of an instruction's words that belong to no tap hold the weights' zero points."""
    config, kernel = driver.config, (i["kernel_height"], i["kernel_width"])
    all_taps = [(line, pixel) for line in range(kernel[0]) for pixel in range(kernel[1])]
    places = [oracle.depthwise_place(t, kernel[1], i["dilation_width"], config.depthwise_taps) for t in all_taps]
    zero_points = driver.state.parameters[i["parameters"], 9].view(np.int8) * config.weight_zero_points
    for word in range(max(places)[0] + 1):
        for place in set(range(config.depthwise_taps)) - {p for w, p in places if w == word}:
            row = (i["weight_word"] + word) % 64 * config.depthwise_pitch + place
            driver.cycle(write=("depthwise", row, zero_points))


def test_average_of_raw_codes(simulator: str) -> None:
    """The contract's vectors, as many at a time as there are lanes, by every rounding that rounds to the nearest.

    In Icarus by TFLM's rounding only: it is slow.
    """
    config = make_config(5, accumulator_bits=32, multiplier_bits=31)
    drivers, places = [], []
    roundings = EXACT_ROUNDINGS if simulator == "verilator" else (Arithmetic.tflm().rounding,)
    for rounding in roundings:
        arithmetic = dataclasses.replace(config.arithmetic, rounding=rounding)
        driver = Driver(dataclasses.replace(config, operand_scratchpad_bytes=5 * 64, arithmetic=arithmetic))
        for (count,), vectors in group_by(
            [v | {"n": len(v["codes"])} for v in load_vectors("average_raw")], "n"
        ).items():
            multiplier, shift = raw_average_multiplier(count, arithmetic)
            for byte in range(5):
                value = np.full(5, shift if byte == 4 else multiplier >> 8 * byte & 255)
                driver.cycle(write=("parameter", 4 + byte, value.astype(np.uint8).view(np.int8)))
            for first in range(0, len(vectors), 5):
                some = [vectors[min(first + lane, len(vectors) - 1)] for lane in range(5)]
                for row, codes in enumerate(zip(*(v["codes"] for v in some), strict=True)):
                    driver.cycle(write=("operand", row, np.array(codes, np.int8)))
                average = mean_of_rows(count)
                while not driver.cycle(average):
                    pass
                while driver.port["busy"]:
                    driver.cycle()
                driver.cycle(output_address=0)
                places.append((len(drivers), len(driver.inputs["valid"]), [v["y"] for v in some]))
        driver.cycle()
        drivers.append(driver)
    shown = play(drivers, simulator)
    for index, cycle, expected in places:
        found = [oracle.overflow(int(shown[index]["output_data"][cycle]) >> 8 * lane, 8, "wrap") for lane in range(5)]
        assert found == expected, (drivers[index].config.arithmetic, expected)
    assert len(places) > len(roundings) * 60


def mean_of_rows(count: int) -> Instruction:
    """The first `count` rows' sum, by the multiplier and shift of entry 0, to row 0."""
    ones = ("output_height", "output_width", "kernel_height", "input_height", "stride_height", "stride_width",
            "dilation_height", "dilation_width", "pixel_rows")  # fmt: skip
    fields = {field.name: 0 for field in fields_of(Opcode.REDUCE)} | dict.fromkeys(ones, 1)
    fields |= {"kernel_width": count, "input_width": count, "mode": int(Mode.SUM), "y_min": -128, "y_max": 127}
    return Instruction(Opcode.REDUCE, fields)


def depthwise_cycles(i: Instruction, taps: int) -> int:
    """Cycles in which a DEPTHWISE issues: for each segment of a strip of outputs, one for each pixel of its lines."""
    kernel, total = [divmod(tap, i["kernel_width"]) for tap in range(i["kernel_height"] * i["kernel_width"])], 0
    segments: dict[int, set[int]] = {}
    for line, pixel in kernel:
        word = oracle.depthwise_place((line, pixel), i["kernel_width"], i["dilation_width"], taps)[0]
        segments.setdefault(word, set()).add(pixel)
    strip = 64 if len(segments) > 1 else i["output_width"]
    for first in range(0, i["output_width"], strip):
        outputs = min(strip, i["output_width"] - first)
        for pixels in segments.values():
            read = (outputs - 1) * min(i["stride_width"], len(pixels)) + len(pixels)
            total += read if len(segments) == 1 else max(read, taps + 3)
    return total * i["output_height"]


def test_depthwise_reads_each_code_once_a_line() -> None:
    """Cycles of an instruction: all segments one after the other, and until its last row is written."""
    for config in (config for config in CONFIGS if config.depthwise_taps):
        driver, programs = Driver(config), Programs(config, 6, wild=0)
        for _ in range(25):
            i = programs.depthwise()
            driver.cycle()
            begin = len(driver.inputs["valid"])
            assert driver.cycle(i)
            while not driver.port["finished"]:
                driver.cycle()
            work = np.flatnonzero(driver.outputs["work"][begin:])
            first = 4 + WINDOW_SETUP_CYCLES
            assert work.tolist() == list(range(first, first + depthwise_cycles(i, config.depthwise_taps)))
            assert instruction_work(i, config) == Work(busy=len(work))


def test_one_position_per_cycle() -> None:
    """Cycles of an instruction: until its first position, one for each at least, and until its last row is written."""
    for config in CONFIGS:
        driver, programs = Driver(config), Programs(config, 5, wild=0)
        for maker, start in ((programs.requantize, 4), (programs.reduce, 4 + WINDOW_SETUP_CYCLES)):
            i = maker()
            driver.cycle()
            results = i.fields.get("count", 1) * i.fields.get("output_height", 1) * i.fields.get("output_width", 1)
            window = i.fields.get("kernel_height", 1) * i.fields.get("kernel_width", 1)
            begin = len(driver.inputs["valid"])
            assert driver.cycle(i)
            while not driver.port["finished"]:
                driver.cycle()
            work = np.flatnonzero(driver.outputs["work"][begin:])
            expected, turn = [start - 1], 0
            for step in range(results * window):  # columns that share a lane take turns in results
                expected.append(max(expected[-1] + 1, turn if (step + 1) % window == 0 else 0))
                turn = expected[-1] + config.lane_columns if (step + 1) % window == 0 else turn
            assert work.tolist() == expected[1:]
            assert len(driver.inputs["valid"]) - begin == work[-1] + output_delay(config) + 1


def test_columns_that_share_a_lane_lose_no_cycle_to_the_array() -> None:
    """The array reads one bank and the other in turn; the next row's sums are read beside it, before their turn."""
    for config in (config for config in CONFIGS if config.lane_columns > 1):
        driver, programs = Driver(config), Programs(config, 9, wild=0)
        fill(driver, programs)
        for first_bank in (0, 1):
            i = programs.requantize()
            while i["count"] < 8:
                i = programs.requantize()
            begin = len(driver.inputs["valid"])
            while not driver.cycle(i, bank_reads=1 << first_bank):
                pass
            while not driver.port["finished"]:
                driver.cycle(bank_reads=1 << (len(driver.inputs["valid"]) + first_bank) % 2)
            work = np.flatnonzero(driver.outputs["work"][begin:])
            assert len(work) == i["count"] and set(np.diff(work)) == {config.lane_columns}
            driver.cycle()
