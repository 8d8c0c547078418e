"""Soft resets of random programs, in machine and RTL.

Of a run that is cut they leave the same memory and have moved the same number of bytes on the bus. How long it took is
not compared, because no interrupt tells it, and its counters are not, because the reset clears them. Everything of the
run that follows is compared, cycles and counters included.
"""

from __future__ import annotations

import numpy as np
import pytest

from emulator.instructions import Error
from emulator.machine import Machine
from emulator.registers import STATUS_DONE, STATUS_ERROR
from rtl.simulate import simulate_plans
from rtl.simulation import Plan
from tests.end_to_end.configs import CONFIGS
from tests.end_to_end.test_random_programs import random_images

PROGRAMS = 4
EARLIEST = 5
"""Cycle of a run in which the testbench's soft reset can come."""
EARLY, LATE, BETWEEN = 6, 6, 6
"""Resets of a program: among its first 80 cycles, in its last ones, anywhere."""


@pytest.mark.parametrize("name", ["4x4", "5x3"])
def test_the_cut_run_and_the_next_one(name: str) -> None:
    config, rng = CONFIGS[name], np.random.default_rng([30, *name.encode()])
    images, lengths = random_images(30, config, PROGRAMS)
    memory = {"latency": 3, "seed": 77}
    complete = Machine(config, **memory).execute(images, program_bytes=lengths)
    order, resets = list[int](), list[int | None]()
    for number, record in enumerate(complete):
        moments = {*range(record.cycles - LATE, record.cycles), *map(int, rng.integers(EARLIEST, 80, EARLY))}
        moments |= set(map(int, rng.integers(EARLIEST, record.cycles, BETWEEN)))
        for moment in sorted(moment for moment in moments if EARLIEST <= moment < record.cycles):
            order += [number, (number + 1) % PROGRAMS]
            resets += [moment, None]
    runs = [images[number] for number in order], [lengths[number] for number in order]
    machine = Machine(config, **memory).execute(runs[0], program_bytes=runs[1], reset_at=resets)
    plans = [
        Plan(image, 0, length, **memory, soft_reset_at=reset or 0)
        for image, length, reset in zip(*runs, resets, strict=True)
    ]
    for number, reset, record, run in zip(order, resets, machine, simulate_plans(config, plans), strict=True):
        assert run.memory == record.memory, (number, reset)
        moved = [beats * config.bus_bytes for beats in (run.beats_read, run.beats_written)]
        assert moved == [record.counters[name] for name in ("bytes_read", "bytes_written")], (number, reset)
        assert run.strays == run.violations == run.unknowns == 0, (number, reset)
        found = {name: run.registers[name] for name in ("status", "error", "error_index")}
        if reset is None:
            assert (run.elapsed, run.counters) == (record.cycles, record.counters), number
            np.testing.assert_array_equal(run.lane_counters, record.lane_counters)
            status = STATUS_DONE if record.error == Error.NONE else STATUS_ERROR
            assert list(found.values()) == [status, record.error, record.error_index], number
        else:
            assert not any(found.values()) and not any(run.counters.values()), (number, reset)
            assert not run.lane_counters.any(), (number, reset)
    assert any(record.memory != image for record, image in zip(machine[::2], runs[0][::2], strict=True))
