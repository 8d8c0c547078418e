"""The cocotb side of `axi_top.v`: memory and host are cocotbext-axi's, and the master is watched in every cycle."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiResp

from emulator.registers import (
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    LANE_COUNTERS,
    STATUS_DONE,
    STATUS_RESETTING,
    STATUS_RUNNING,
    lane_counter,
    register,
)
from tests.rtl.bus.axi_memory import RefusingMemory, set_gaps
from tests.rtl.bus.axi_monitor import Monitor

SIZE = 1 << 17
PAGE = 4096
HIGHEST = 1 << 32
ANY_ORDER = 0
"""`order` of axi_top.v that holds nothing back."""


class Bench:
    """Both buses of one accelerator."""

    def __init__(self, top: Any, rng: random.Random):
        self.top, self.rng = top, rng
        self.memory = RefusingMemory(AxiBus.from_prefix(top, "axi_"), top.clk, top.reset, SIZE)
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(top, "lite_"), top.clk, top.reset)
        self.monitor = Monitor(top)

    async def get(self, name: str) -> int:
        return await self.host.read_dword(register(name).offset)

    async def put(self, name: str, value: int) -> None:
        await self.host.write_dword(register(name).offset, value)

    async def play(self, run: dict[str, Any], number: int) -> dict[str, Any]:
        """One run from its image; what it left."""
        image = Path(f"image_{number}.bin").read_bytes()
        base = self._place(run, image)
        self.monitor.begin(base, len(image))
        values = {
            "interrupt_enable": 1, "program_address": 0, "program_bytes": run["program_bytes"], "memory_base": base,
            "memory_bytes": len(image),
        }  # fmt: skip
        for name, value in values.items():
            await self.put(name, value)
            assert await self.get(name) == value, name
        await self.put("control", CONTROL_START)
        result: dict[str, Any] = {}
        if run["reset_when"] is None:
            if not int(self.top.interrupt.value):
                await with_timeout(RisingEdge(self.top.interrupt), run["patience"], "ns")
        else:
            result["cut"] = await with_timeout(self._reset(*run["reset_when"]), run["patience"], "ns")
        result |= self.monitor.end()
        result |= {name: await self.get(name) for name in ("status", "error", "error_index")}
        if result["status"] & STATUS_DONE:
            result |= await self._counters(run["columns"])
        await self.put("control", run["afterwards"])
        assert int(self.top.interrupt.value) == 0
        left = bytearray(self.memory.read(0, SIZE))
        Path(f"memory_{number}.bin").write_bytes(left[base % SIZE : base % SIZE + len(image)])
        left[base % SIZE : base % SIZE + len(image)] = bytes(len(image))
        assert not any(left), "something was written outside of the region"
        return result

    def _place(self, run: dict[str, Any], image: bytes) -> int:
        """The image at an address of its own, which is returned, and zeros around it; how the memory behaves."""
        pages = -(-len(image) // PAGE)
        offset = PAGE * self.rng.randint(0, SIZE // PAGE - pages)
        self.memory.write(0, bytes(SIZE))
        self.memory.write(offset, image)
        first, last = run["refused"] or (0, -1)
        self.memory.refused = range(offset + first, offset + last + 1)
        self.memory.answer = AxiResp[run["answer"]]
        self.top.order.value = run["order"]
        # Where addresses wait for all their data, the slave must take these first.
        self.memory.write_if.w_channel.queue_occupancy_limit = 2 if run["order"] == ANY_ORDER else -1
        set_gaps(self.memory, self.host, run["gaps"], self.rng)
        return offset + SIZE * self.rng.choice([0, 1, HIGHEST // SIZE // 2 - 1, HIGHEST // SIZE - 1])

    async def _counters(self, columns: int) -> dict[str, Any]:
        lanes, read = range(columns), self.host.read_dword
        return {
            "counters": {name: await self.host.read_qword(register(name).offset) for name in COUNTERS},
            "lane_counters": [
                [await read(lane_counter(index, lane)) for lane in lanes] for index in range(len(LANE_COUNTERS))
            ],
        }

    async def _reset(self, reads: int, writes: int) -> dict[str, int]:
        """A soft reset when so many bursts are outstanding; how many were when it took effect."""
        while self.monitor.reads.outstanding < reads or self.monitor.writes.outstanding < writes:
            await RisingEdge(self.top.clk)
        await self.put("control", CONTROL_RESET)
        cut = {name: getattr(self.monitor, name).outstanding for name in ("reads", "writes")}
        while await self.get("status") & (STATUS_RUNNING | STATUS_RESETTING):
            pass
        return cut


@cocotb.test()
async def runs(top: Any) -> None:
    """All runs, one after the other on the same hardware."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    arguments = json.loads(Path("arguments.json").read_text(encoding="utf-8"))
    top.reset.value = 1  # it rises: what Icarus has not seen change since time 0 it has not computed
    await ClockCycles(top.clk, 4)
    bench = Bench(top, random.Random(arguments["seed"]))
    await ClockCycles(top.clk, 4)
    top.reset.value = 0
    await ClockCycles(top.clk, 4)
    results = []
    for number, run in enumerate(arguments["runs"], start=1):
        try:
            results.append(await bench.play(run, number))
        except SimTimeoutError:
            raise AssertionError(f"run {number} has not ended in {run['patience']} ns") from None
    Path("results.json").write_text(json.dumps(results), encoding="utf-8")
