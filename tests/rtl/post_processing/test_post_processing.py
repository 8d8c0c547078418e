"""The post-process unit: RTL and machine agree in every cycle, and both with the contract's sentences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emulator import AcceleratorConfig, Arithmetic, raw_average_multiplier
from emulator.instructions import Instruction, Opcode
from emulator.operators.raw_average_pool import EXACT_ROUNDINGS
from tests import oracle
from tests.contract_vectors import group_by, load_vectors
from tests.rtl.post_processing.post_process_bench import Driver, play
from tests.rtl.post_processing.post_process_contract import Contract
from tests.rtl.post_processing.post_process_programs import CONFIGS, Programs, fill, make_config, mean_of_rows


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
