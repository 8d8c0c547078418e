"""cocotbext-axi's memory, with addresses that it refuses, gaps in its channels and room for more bursts."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any

from cocotbext.axi import AxiBus, AxiLiteMaster, AxiRamRead, AxiRamWrite, AxiResp
from cocotbext.axi.memory import Memory

SLOW = 0.5
"""Largest share of the cycles in which a channel pauses."""
LATE = 150
"""Most cycles that a gap of a late memory lasts."""
BURSTS = 32
"""Addresses that a memory takes ahead: more than a master may have outstanding."""


class Refusal(Exception):
    """cocotbext-axi makes an error response of it."""


class RefusingMemory(Memory):
    """Behind an AXI bus, at addresses modulo its size; words that touch the bytes `refused` are answered with `answer`.

    The other words of the same burst are read and written.
    """

    def __init__(self, bus: AxiBus, clock: Any, reset: Any, size: int):
        super().__init__(size)
        self.refused, self.answer = range(0), AxiResp.SLVERR
        self.read_if = AxiRamRead(bus.read, clock, reset, mem=self.mem)
        self.write_if = AxiRamWrite(bus.write, clock, reset, mem=self.mem)
        for side in (self.read_if, self.write_if):
            side.log.setLevel(logging.ERROR)  # it warns of every word that is refused
        read, write, width = self.read_if._read, self.write_if._write, self.read_if.byte_lanes

        def check(address: int) -> None:
            word = address % size // width * width
            if word < self.refused.stop and word + width > self.refused.start:
                raise Refusal

        async def checked_read(address: int, length: int) -> bytes:
            check(address)
            return await read(address, length)

        async def checked_write(address: int, data: bytes) -> None:
            check(address)
            await write(address, data)

        self.read_if._read, self.write_if._write = checked_read, checked_write
        self._answering(self.read_if.r_channel, "rresp")
        self._answering(self.write_if.b_channel, "bresp")

    def _answering(self, channel: Any, name: str) -> None:
        """cocotbext-axi answers with SLVERR; `answer` takes its place."""
        send = channel.send

        async def answered(beat: Any) -> None:
            if getattr(beat, name) != AxiResp.OKAY:
                setattr(beat, name, self.answer)
            await send(beat)

        channel.send = answered


def pauses(rng: random.Random, busy: float, longest: int) -> Iterator[bool]:
    """Random gaps: 1 to `longest` cycles at a time, about `busy` of all cycles; every channel has its own."""
    while True:
        yield from itertools.repeat(False, rng.randint(1, 2 * longest))
        if rng.random() < busy:
            yield from itertools.repeat(True, rng.randint(1, longest))


def late(rng: random.Random) -> Iterator[bool]:
    """Long gaps, then short bursts of answers."""
    while True:
        yield from itertools.repeat(True, rng.randint(LATE // 2, LATE))
        yield from itertools.repeat(False, rng.randint(1, LATE))


def set_gaps(memory: RefusingMemory, host: AxiLiteMaster, kind: str, rng: random.Random) -> None:
    """How slow both buses are.

    kind : ``none``; ``random``, in every channel of both buses others; ``late``, the memory takes all and answers late
    """
    read, write = memory.read_if, memory.write_if
    answers = [read.r_channel, write.b_channel]
    channels = [
        *answers, read.ar_channel, write.aw_channel, write.w_channel, host.read_if.ar_channel, host.read_if.r_channel,
        host.write_if.aw_channel, host.write_if.w_channel, host.write_if.b_channel,
    ]  # fmt: skip
    for channel in channels:
        channel.clear_pause_generator()
        channel.pause = False
        if kind == "random":
            channel.set_pause_generator(pauses(rng, rng.random() * 2 * SLOW, rng.choice([1, 2, 5, 40])))
        elif kind == "late" and channel in answers:
            channel.set_pause_generator(late(rng))
    depth = rng.choice([2, BURSTS]) if kind == "random" else BURSTS
    for channel in (read.ar_channel, write.aw_channel, write.b_channel):
        channel.queue_occupancy_limit = depth
