"""Store unit: RTL = machine in every cycle, memory = plain loops; faults, stalls, halts; loads at the same time."""

from __future__ import annotations

import numpy as np
import pytest

from emulator.instructions import Error, Instruction, Opcode, Unit
from tests.rtl.transfer import transfer_cases
from tests.rtl.transfer.test_load_unit import MEMORY_BYTES, setting
from tests.rtl.transfer.transfer_machine import AcceleratorConfig, Scenario, make_state, replay_all, run_machine


@pytest.mark.parametrize("seed", range(16))
def test_store(seed: int) -> None:
    """Legal stores, an illegal pixel, refused bursts, a halt in the middle, loads beside them: run after run."""
    rng = np.random.default_rng(seed)
    config = transfer_cases.random_config(rng)
    memory_bytes = int(rng.choice(MEMORY_BYTES))
    s = make_state(config, rng, memory_bytes)
    traces = []
    for kind in ("legal", "illegal", "refused", "halted", "beside"):
        stores, loads = (
            [
                transfer_cases.random_transfer(rng, config, opcode, memory_bytes, bad and k == 1)
                for k in range(3)
            ]
            for opcode, bad in ((Opcode.STORE, kind == "illegal"), (Opcode.LOAD, False))
        )  # fmt: skip
        first = int(rng.integers(0, memory_bytes))
        extra = {"error_range": (first, first + 100)} if kind == "refused" else {}
        extra |= {"halt_at": int(rng.integers(4, 100))} if kind == "halted" else {}
        extra |= {"loads": loads} if kind in ("halted", "beside") else {}
        expected = s.memory.copy()
        trace = run_machine(s, Scenario(stores=stores, **setting(rng), **extra), rng)
        traces.append(trace)
        if kind in ("legal", "illegal", "beside"):
            for store in stores[:2] if kind == "illegal" else stores:
                count = transfer_cases.legal(config, store, memory_bytes)
                transfer_cases.stored(expected, config, store, s.output, count)
            np.testing.assert_array_equal(s.memory, expected)
            finished = [index for _, unit, index in trace.finished if unit == Unit.STORE]
            assert finished == ([0] if kind == "illegal" else [0, 1, 2])
        assert len(trace.faults) <= 1
        if kind != "refused":
            faults = [(Unit.STORE, Error.ADDRESS, 1)] if kind == "illegal" else []
            assert [fault[1:] for fault in trace.faults] == faults
        else:
            assert all(fault[1:3] == (Unit.STORE, Error.BUS) for fault in trace.faults)
    replay_all(config, traces)


def test_a_beat_per_cycle() -> None:
    """An aligned stream with a bus as wide as the rows takes a cycle per beat, and a few from one STORE to the next."""
    config = AcceleratorConfig(rows=16, columns=16, bus_bytes=16, output_scratchpad_bytes=1 << 14)
    rng = np.random.default_rng(0)
    s = make_state(config, rng, 1 << 14)
    fields = transfer_cases.transfer_fields(Opcode.STORE) | {"pixel_bytes": 16 * 512}
    store = Instruction(Opcode.STORE, fields)
    trace = run_machine(s, Scenario(stores=[store, store], latency=32), rng)
    (first, *_), (second, *_) = trace.finished
    assert second - first == 512 + 7
