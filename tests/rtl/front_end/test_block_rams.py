"""Issue queue and fetch with block RAMs whose data are wrong where a row is read in the cycle that writes it."""

from __future__ import annotations

import random
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from amaranth.utils import bits_for

from emulator import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, OPCODE_BITS, Unit
from rtl.front_end import fetch, issue_queue


class Poisoned(wiring.Component):
    """The ports of `rtl.memory.block_ram`'s memory; a row written in the cycle of its read is read inverted."""

    def __init__(self, shape: int, depth: int, always: bool = False):
        self.depth, address = depth, bits_for(depth - 1)
        ports = {"w_en": In(1), "w_addr": In(address), "w_data": In(shape), "r_en": In(1), "r_addr": In(address)}
        super().__init__({**ports, "r_data": Out(shape)})

    def write_port(self) -> Any:
        return SimpleNamespace(en=self.w_en, addr=self.w_addr, data=self.w_data)

    def read_port(self) -> Any:
        return SimpleNamespace(en=self.r_en, addr=self.r_addr, data=self.r_data)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=len(self.w_data), depth=self.depth, init=[])
        write, read, collided = memory.write_port(), memory.read_port(), Signal()
        m.d.comb += [write.en.eq(self.w_en), write.addr.eq(self.w_addr), write.data.eq(self.w_data)]
        m.d.comb += [read.en.eq(self.r_en), read.addr.eq(self.r_addr)]
        m.d.sync += collided.eq(self.w_en & self.r_en & (self.w_addr == self.r_addr))
        m.d.comb += self.r_data.eq(Mux(collided, ~read.data, read.data))
        return m


def simulate(component: wiring.Component, bench: Any) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    module: ModuleType
    for module in (issue_queue, fetch):
        monkeypatch.setattr(module, "block_ram", Poisoned)


@pytest.mark.parametrize("eager", [0.1, 0.5, 0.95])
def test_an_issue_queue_gives_what_has_entered(eager: float) -> None:
    """As the decoder offers it: two cycles early, then until there is room; the unit takes more or less often."""
    rng, queue = random.Random(eager), issue_queue.IssueQueue(Unit.STORE)
    entered: list[tuple[int, int]] = []
    issued: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(queue.available, 15)
        stage = 0
        for cycle in range(1200):
            begins = stage == 0 and rng.random() < 0.6
            ctx.set(queue.early, begins or stage == 1)
            ctx.set(queue.issued.ready, rng.random() < eager)
            push = stage == 3 and not ctx.get(queue.full) and rng.random() < 0.9
            ctx.set(queue.push, push)
            if push:
                entered.append((ctx.get(queue.instruction), ctx.get(queue.index)))
            if ctx.get(queue.issued.valid) and ctx.get(queue.issued.ready):
                issued.append((ctx.get(queue.issued.payload.instruction), ctx.get(queue.issued.payload.index)))
            await ctx.tick()
            stage = 0 if push else stage + (begins or stage in (1, 2))
            if begins:
                ctx.set(queue.instruction, rng.getrandbits(queue.bits - OPCODE_BITS) << OPCODE_BITS)
                ctx.set(queue.index, cycle)

    simulate(queue, bench)
    assert len(issued) > 60 and issued == entered[: len(issued)] and len(entered) <= len(issued) + 17


@pytest.mark.parametrize("eager", [0.2, 1.0])
def test_a_fetch_gives_the_words_that_have_come(eager: float) -> None:
    rng, unit = random.Random(eager), fetch.Fetch(AcceleratorConfig())
    words: list[int] = []
    taken: list[int] = []

    async def bench(ctx: Any) -> None:
        for member in (unit.memory_bytes, unit.program_bytes):
            ctx.set(member, 300 * INSTRUCTION_BYTES)
        ctx.set(unit.clear, 1)
        await ctx.tick()
        ctx.set(unit.clear, 0)
        owed = 0
        for _ in range(1500):
            grant = bool(ctx.get(unit.request)) and rng.random() < 0.5
            valid = owed > 0 and rng.random() < 0.7
            word = rng.getrandbits(len(unit.data))
            ctx.set(unit.grant, grant)
            ctx.set(unit.valid, valid)
            ctx.set(unit.data, word)
            take = bool(ctx.get(unit.available)) and rng.random() < eager
            ctx.set(unit.take, take)
            if take:
                taken.append(ctx.get(unit.word))
            if valid:
                words.append(word)
            await ctx.tick()
            owed += unit.words * grant - valid

    simulate(unit, bench)
    assert len(taken) > 200 and taken == words[: len(taken)]
