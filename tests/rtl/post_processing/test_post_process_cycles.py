"""Cycles of post-processing's instructions: when they read, and when their last row is written."""

from __future__ import annotations

import numpy as np

from codesign.execution.profile import Work, instruction_work
from emulator.instructions import Instruction
from emulator.timing import WINDOW_SETUP_CYCLES, output_delay
from tests import oracle
from tests.rtl.post_processing.post_process_bench import Driver
from tests.rtl.post_processing.post_process_programs import CONFIGS, Programs, fill


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
            while i["count"] < 8 or i["further_blocks"]:
                i = programs.requantize()
            begin = len(driver.inputs["valid"])
            while not driver.cycle(i, bank_reads=1 << first_bank):
                pass
            while not driver.port["finished"]:
                driver.cycle(bank_reads=1 << (len(driver.inputs["valid"]) + first_bank) % 2)
            work = np.flatnonzero(driver.outputs["work"][begin:])
            assert len(work) == i["count"] and set(np.diff(work)) == {config.lane_columns}
            driver.cycle()
