"""A host and a memory of cocotbext-axi, both at full speed, around the accelerator in `axi_top.v`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Self

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from emulator.registers import CONTROL_START, STATUS_RUNNING, register

BASE = 0x0001_0000
PATIENCE = 20_000
"""Reads of the status in which every run ends."""
MULTIPLES = {"program_address": 32, "program_bytes": 32, "memory_base": 4096, "memory_bytes": 8}
"""The program's registers, and what their values are multiples of."""


class Host:
    """The accelerator with its two neighbours."""

    def __init__(self, top: Any):
        self.top = top
        self.rises = 0
        self.image = Path("image.bin").read_bytes()
        self.arguments = json.loads(Path("arguments.json").read_text(encoding="utf-8"))
        self.memory = AxiRam(AxiBus.from_prefix(top, "axi_"), top.clk, top.reset, size=1 << 18)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(top, "lite_"), top.clk, top.reset)

    @classmethod
    async def ready(cls, top: Any, interrupt: bool = False) -> Self:
        """A host of an accelerator that has just been reset, its interrupt enabled or not."""
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        top.reset.value = 1
        await ClockCycles(top.clk, 4)
        host = cls(top)
        await ClockCycles(top.clk, 4)
        top.reset.value = 0
        await ClockCycles(top.clk, 4)
        cocotb.start_soon(host._watch())
        if interrupt:
            await host.write("interrupt_enable", 1)
        return host

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.top.interrupt)
            self.rises += 1

    def line(self) -> int:
        return int(self.top.interrupt.value)

    async def write(self, name: str, value: int) -> None:
        await self.lite.write_dword(register(name).offset, value)

    async def read(self, name: str) -> int:
        return int(await self.lite.read_dword(register(name).offset))

    async def give(self, program: str) -> dict[str, int]:
        """Describe a program of the arguments, with fresh data in the memory; the registers' values."""
        address, length = self.arguments[program]
        self.memory.write(0, bytes(1 << 18))
        self.memory.write(BASE, self.image)
        values = dict(zip(MULTIPLES, (address, length, BASE, len(self.image)), strict=True))
        for name, value in values.items():
            await self.write(name, value)
        return values

    async def start(self, program: str) -> None:
        await self.give(program)
        await self.write("control", CONTROL_START)

    async def ended(self) -> int:
        """The status when the run has ended."""
        for _ in range(PATIENCE):
            status = await self.read("status")
            if not status & STATUS_RUNNING:
                return status
        raise AssertionError("the run has not ended")

    def assert_good(self) -> None:
        """The good program's result, and nothing else, has been written."""
        result = self.arguments["result"]
        data, size = self.arguments["data"], self.arguments["size"]
        expected = self.image[:result] + self.image[data : data + size] + self.image[result + size :]
        assert self.memory.read(BASE, len(self.image)) == expected
        assert not any(self.memory.read(0, BASE) + self.memory.read(BASE + len(self.image), 1 << 16))
