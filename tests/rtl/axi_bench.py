"""The cocotb side of `axi_top.v`: memory and host are cocotbext-axi's, with random back-pressure, latency and gaps."""

from __future__ import annotations

import itertools
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_START,
    COUNTERS,
    LANE_COUNTERS,
    LANE_COUNTERS_OFFSET,
    LANE_PITCH,
    register,
)

BASE = 0x0001_0000
SLOW = 0.5
"""Largest share of the cycles in which a channel pauses."""


def pauses(rng: random.Random, busy: float, longest: int) -> Iterator[bool]:
    """Random gaps: 1 to `longest` cycles at a time, about `busy` of all cycles; every channel has its own."""
    while True:
        yield from itertools.repeat(False, rng.randint(1, 2 * longest))
        if rng.random() < busy:
            yield from itertools.repeat(True, rng.randint(1, longest))


def slow_down(memory: AxiRam, host: AxiLiteMaster, rng: random.Random) -> None:
    """Other gaps in every channel of both buses: long ones stand for latency, short ones for back-pressure."""
    channels = [
        memory.read_if.ar_channel, memory.read_if.r_channel, memory.write_if.aw_channel, memory.write_if.w_channel,
        memory.write_if.b_channel, host.read_if.ar_channel, host.read_if.r_channel, host.write_if.aw_channel,
        host.write_if.w_channel, host.write_if.b_channel,
    ]  # fmt: skip
    for channel in channels:
        channel.set_pause_generator(pauses(rng, rng.random() * 2 * SLOW, rng.choice([1, 2, 5, 40])))


async def play(top: Any, memory: AxiRam, host: AxiLiteMaster, run: dict[str, Any], number: int) -> dict[str, Any]:
    """One run from its image; what it left."""
    image = Path(f"image_{number}.bin").read_bytes()
    memory.write(0, bytes(BASE + len(image) + 4096))
    memory.write(BASE, image)
    values = {
        "interrupt_enable": 1, "program_address": run["program_address"], "program_bytes": run["program_bytes"],
        "memory_base": BASE, "memory_bytes": len(image),
    }  # fmt: skip
    for name, value in values.items():
        await host.write_dword(register(name).offset, value)
        assert await host.read_dword(register(name).offset) == value, name
    await host.write_dword(register("control").offset, CONTROL_START)
    if not int(top.interrupt.value):
        await with_timeout(RisingEdge(top.interrupt), run["patience"], "ns")
    await host.write_dword(register("control").offset, CONTROL_ACKNOWLEDGE)
    assert int(top.interrupt.value) == 0
    outside = memory.read(0, BASE) + memory.read(BASE + len(image), 4096)
    assert not any(outside), "something was written outside of the region"
    Path(f"memory_{number}.bin").write_bytes(memory.read(BASE, len(image)))
    read = {name: await host.read_dword(register(name).offset) for name in ("status", "error", "error_index")}
    read["counters"] = {name: await host.read_qword(register(name).offset) for name in COUNTERS}
    read["lane_counters"] = [
        [await host.read_dword(LANE_COUNTERS_OFFSET + lane * LANE_PITCH + 4 * k) for lane in range(run["columns"])]
        for k in range(len(LANE_COUNTERS))
    ]
    return read


@cocotb.test()
async def runs(top: Any) -> None:
    """All runs, one after the other on the same hardware, each with other gaps."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    arguments = json.loads(Path("arguments.json").read_text(encoding="utf-8"))
    rng = random.Random(arguments["seed"])
    top.reset.value = 1  # it rises: what Icarus has not seen change since time 0 it has not computed
    await ClockCycles(top.clk, 4)
    memory = AxiRam(AxiBus.from_prefix(top, "axi_"), top.clk, top.reset, size=1 << 18)
    host = AxiLiteMaster(AxiLiteBus.from_prefix(top, "lite_"), top.clk, top.reset)
    await ClockCycles(top.clk, 4)
    top.reset.value = 0
    await ClockCycles(top.clk, 4)
    results = []
    for number, run in enumerate(arguments["runs"], start=1):
        if number > 1:  # the first run is at full speed
            slow_down(memory, host, rng)
        try:
            results.append(await play(top, memory, host, run, number))
        except SimTimeoutError:
            raise AssertionError(f"run {number} has not ended in {run['patience']} ns") from None
    Path("results.json").write_text(json.dumps(results), encoding="utf-8")
