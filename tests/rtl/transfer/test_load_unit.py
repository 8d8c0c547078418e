"""Load unit and read arbiter: RTL = machine in every cycle, scratchpads = plain loops; faults, stalls, halts."""

from __future__ import annotations

import numpy as np
import pytest

from emulator.instructions import Error, Opcode, Unit
from tests.rtl.transfer import transfer_cases, transfer_machine
from tests.rtl.transfer.transfer_machine import Scenario, copy_state, make_state, replay_all, run_machine

PADS = ("activation", "weight", "operand", "table", "parameters", "depthwise_weights")
MEMORY_BYTES = (2048, 3 * 4096, 5 * 4096 + 32)


def setting(rng: np.random.Generator) -> dict[str, int]:
    return {
        "latency": int(rng.choice([1, 2, 7, 32])),
        "seed": int(rng.choice([0, *rng.integers(1, 1 << 32, 2)])),
        "fetches": int(rng.choice([0, 10, 100])),
        "hold": int(rng.choice([0, 50])),
    }


@pytest.mark.parametrize("seed", range(16))
def test_load(seed: int) -> None:
    """Legal loads; loads with an illegal pixel; refused bursts; a halt in the middle: one run after the other."""
    rng = np.random.default_rng(seed)
    config = transfer_cases.random_config(rng)
    memory_bytes = int(rng.choice(MEMORY_BYTES))
    s = make_state(config, rng, memory_bytes)
    traces = []
    for kind in ("legal", "illegal", "refused", "halted", "legal"):
        loads = [
            transfer_cases.random_transfer(rng, config, Opcode.LOAD, memory_bytes, kind == "illegal" and k == 1)
            for k in range(4)
        ]
        first = int(rng.integers(0, memory_bytes))
        extra = {"error_range": (first, first + 100)} if kind == "refused" else {}
        extra |= {"halt_at": int(rng.integers(4, 100))} if kind == "halted" else {}
        expected, before = copy_state(s), s.memory.copy()
        trace = run_machine(s, Scenario(loads=loads, **setting(rng), **extra), rng)
        traces.append(trace)
        np.testing.assert_array_equal(s.memory, before)
        if kind in ("legal", "illegal"):
            done = loads if kind == "legal" else loads[:2]
            for load in done:
                transfer_cases.loaded(
                    expected, config, load, s.memory, transfer_cases.legal(config, load, memory_bytes)
                )
            for pad in PADS:
                np.testing.assert_array_equal(getattr(s, pad), getattr(expected, pad))
            assert [index for _, _, index in trace.finished] == ([0, 1, 2, 3] if kind == "legal" else [0])
        assert len(trace.faults) <= 1
        if kind != "refused":
            assert [fault[1:] for fault in trace.faults] == (
                [(Unit.LOAD, Error.ADDRESS, 1)] if kind == "illegal" else []
            )
        else:
            assert all(fault[1:3] == (Unit.LOAD, Error.BUS) for fault in trace.faults)
    replay_all(config, traces)


def test_a_row_per_cycle() -> None:
    """An aligned stream with a bus as wide as the rows takes a cycle per row, also from one LOAD to the next."""
    config = transfer_machine.AcceleratorConfig(rows=16, columns=16, bus_bytes=16)
    rng = np.random.default_rng(0)
    s = make_state(config, rng, 1 << 14)
    fields = transfer_cases.transfer_fields(Opcode.LOAD) | {"pixel_bytes": 16 * 512}
    load = transfer_cases.Instruction(Opcode.LOAD, fields)
    trace = run_machine(s, Scenario(loads=[load, load], latency=32), rng)
    (first, *_), (second, *_) = trace.finished
    assert second - first == 512


def test_a_short_load_costs_its_rows() -> None:
    """Between two long LOADs one of three rows takes three cycles: nobody waits for the memory."""
    config = transfer_machine.AcceleratorConfig(rows=16, columns=16, bus_bytes=16)
    rng = np.random.default_rng(0)
    s = make_state(config, rng, 1 << 14)
    long, short = (
        transfer_cases.Instruction(
            Opcode.LOAD, transfer_cases.transfer_fields(Opcode.LOAD) | {"pixel_bytes": 16 * rows}
        )
        for rows in (256, 3)
    )
    trace = run_machine(s, Scenario(loads=[long, short, long, short], latency=32), rng)
    cycles = [cycle for cycle, *_ in trace.finished]
    assert np.diff(cycles).tolist() == [3, 256, 3]
    replay_all(config, [trace])
