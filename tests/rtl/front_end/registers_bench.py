"""The cocotb side of the register tests: what a host writes, and what it must find."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiResp

from emulator.instructions import Error
from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    LANE_COUNTERS,
    REGISTER_ADDRESS_BITS,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    STATUS_RESETTING,
    STATUS_RUNNING,
    lane_counter,
    register,
)
from tests.rtl.front_end.registers_host import BASE, MULTIPLES, Host

ELSEWHERE = 0x0002_0000


@cocotb.test()
async def the_interrupt_is_enabled_after_the_end(top: Any) -> None:
    host = await Host.ready(top)
    await host.start("good")
    assert await host.ended() == STATUS_DONE
    assert host.rises == 0 and not host.line(), "disabled"
    for level in (1, 0, 1):
        await host.write("interrupt_enable", level)
        assert host.line() == level == await host.read("interrupt_enable")
    await host.write("control", CONTROL_ACKNOWLEDGE)
    assert not host.line() and await host.read("status") == STATUS_DONE
    await host.write("interrupt_enable", 0)
    await host.write("interrupt_enable", 1)
    assert not host.line(), "acknowledged once and for all"
    host.assert_good()


@cocotb.test()
async def the_interrupt_rises_after_every_run(top: Any) -> None:
    host = await Host.ready(top, interrupt=True)
    endings = [("good", STATUS_DONE), ("slow", STATUS_DONE), ("faulty", STATUS_ERROR), ("good", STATUS_DONE)]
    for number, (program, status) in enumerate(endings, start=1):
        await host.start(program)
        # A start acknowledges what has not been, and clears the status.
        assert not host.line() and host.rises == number - 1
        assert await host.ended() == status
        assert host.line() and host.rises == number
        found = (await host.read("error"), await host.read("error_index"))
        assert found == ((Error.FIELD, 1) if status == STATUS_ERROR else (Error.NONE, 0))
        if number != 2:
            await host.write("control", CONTROL_ACKNOWLEDGE)
            assert not host.line()
            assert await host.read("status") == status and await host.read("error") == found[0], "they stay"
    host.assert_good()


@cocotb.test()
async def a_soft_reset_forgets_the_last_run(top: Any) -> None:
    host = await Host.ready(top, interrupt=True)
    for program in ("good", "faulty"):
        await host.start(program)
        await host.ended()
        assert host.line()
        values = {name: await host.read(name) for name in MULTIPLES}
        await host.write("control", CONTROL_RESET)
        assert not host.line() and await host.read("status") == 0
        assert [await host.read(name) for name in ("error", "error_index", "cycles")] == [0, 0, 0]
        assert {name: await host.read(name) for name in MULTIPLES} == values
        assert await host.read("interrupt_enable") == 1


@cocotb.test()
async def where_nothing_has_failed_there_is_no_error(top: Any) -> None:
    """Each of them read without a pause, from every place in a read's round, while runs are reset in any cycle."""
    host = await Host.ready(top)
    found = set()

    async def watch(name: str, phase: int) -> None:
        await ClockCycles(top.clk, phase)
        for _ in range(16):
            found.add((name, await host.read(name)))

    for name in ("error", "error_index"):
        for wait in range(32):
            for phase in range(5):
                await host.start("halt")
                watching = cocotb.start_soon(watch(name, phase))
                await ClockCycles(top.clk, wait)
                await host.write("control", CONTROL_RESET)
                await watching
                await ClockCycles(top.clk, 40)
    assert found == {("error", Error.NONE), ("error_index", 0)}


@cocotb.test()
async def an_acknowledgement_at_any_time_loses_no_interrupt(top: Any) -> None:
    host = await Host.ready(top, interrupt=True)
    await host.start("halt")
    await host.ended()
    cycles = await host.read("cycles")
    lines = []
    for wait in range(cycles - 15, cycles + 5):
        before = host.rises
        await host.start("halt")
        await ClockCycles(top.clk, wait)
        await host.write("control", CONTROL_ACKNOWLEDGE)
        assert await host.ended() == STATUS_DONE
        assert host.rises == before + 1
        lines.append(host.line())
    early = sum(lines)
    assert 0 < early < len(lines) and lines == [1] * early + [0] * (len(lines) - early)


@cocotb.test()
async def writes_during_a_run_have_no_influence(top: Any) -> None:
    host = await Host.ready(top)
    await host.start("slow")
    assert await host.ended() == STATUS_DONE
    cycles = await host.read("cycles")
    rng = random.Random(3)
    for _ in range(3):
        values = await host.give("slow")
        await host.write("control", CONTROL_START)
        last = 0
        for _ in range(40):
            name = rng.choice([*MULTIPLES, "control", "status", "error", "cycles", "config_hash"])
            await host.write(name, CONTROL_START if name == "control" else rng.getrandbits(32))
            if name in values:
                assert await host.read(name) == values[name]
            now = await host.read("cycles")
            assert now > last, "the counters can be read meanwhile"
            last = now
        assert await host.read("status") == STATUS_RUNNING
        await host.ended()
        assert await host.read("status") == STATUS_DONE and await host.read("cycles") == cycles
        host.assert_good()


@cocotb.test()
async def writes_during_a_reset_have_no_influence(top: Any) -> None:
    host = await Host.ready(top, interrupt=True)
    for start in (CONTROL_START, CONTROL_START | CONTROL_RESET):
        values = await host.give("slow")
        host.memory.read_if.r_channel.pause = True
        await host.write("control", CONTROL_START)
        await ClockCycles(top.clk, 20)
        await host.write("control", CONTROL_RESET)
        for name in MULTIPLES:
            await host.write(name, ELSEWHERE)
        await host.write("control", start)
        assert await host.read("status") == STATUS_RUNNING | STATUS_RESETTING, "the memory has not answered"
        host.memory.read_if.r_channel.pause = False
        assert await host.ended() == 0
        await ClockCycles(top.clk, 200)
        assert await host.read("status") == 0 and host.rises == 0
        assert {name: await host.read(name) for name in MULTIPLES} == values
        assert host.memory.read(BASE, len(host.image)) == host.image
    await host.write("control", CONTROL_START | CONTROL_RESET)
    await ClockCycles(top.clk, 20)
    assert await host.read("status") == 0, "the reset counts"
    await host.start("good")
    assert await host.ended() == STATUS_DONE
    host.assert_good()


@cocotb.test()
async def strobes_and_multiples(top: Any) -> None:
    host = await Host.ready(top)
    rng = random.Random(4)
    expected = dict.fromkeys(MULTIPLES, 0)
    for _ in range(200):
        name, first = rng.choice(list(MULTIPLES)), rng.randrange(4)
        written = rng.randbytes(rng.randint(1, 4 - first))
        await host.lite.write(register(name).offset + first, written)
        word = bytearray(expected[name].to_bytes(4, "little"))
        word[first : first + len(written)] = written
        value = int.from_bytes(word, "little")
        expected[name] = value - value % MULTIPLES[name]
        assert await host.read(name) == expected[name], name
    await host.give("good")
    for first in (1, 2, 3):
        await host.lite.write(register("control").offset + first, bytes([CONTROL_START]))
        await host.lite.write(register("interrupt_enable").offset + first, b"\xff")
    await host.write("control", ~(CONTROL_START | CONTROL_RESET | CONTROL_ACKNOWLEDGE) & 0xFFFF_FFFF)
    assert await host.read("status") == 0 and await host.read("interrupt_enable") == 0
    assert await host.read("control") == 0
    await host.lite.write(register("control").offset, bytes([CONTROL_START]))
    assert await host.ended() == STATUS_DONE
    host.assert_good()


@cocotb.test()
async def nothing_else_is_there(top: Any) -> None:
    """Every word of the address space, read before and after all that have no effect have been written."""
    host = await Host.ready(top)
    await host.start("good")
    assert await host.ended() == STATUS_DONE
    known = {register.offset + 4 * word for register in REGISTERS for word in range(register.words)}
    lanes = host.arguments["columns"]
    known |= {lane_counter(index, lane) for lane in range(lanes) for index in range(len(LANE_COUNTERS))}
    words = []
    for write in (True, False):
        found = {}
        for address in range(0, 1 << REGISTER_ADDRESS_BITS, 4):
            answer = await host.lite.read(address, 4)
            assert answer.resp == AxiResp.OKAY
            found[address] = int.from_bytes(answer.data, "little")
        words.append(found)
        for address in found if write else ():
            if address not in [named.offset for named in REGISTERS if named.writable]:
                assert (await host.lite.write(address, b"\xff\xff\xff\xff")).resp == AxiResp.OKAY
    assert words[0] == words[1]
    assert not any(value for address, value in words[0].items() if address not in known)
    clipped = LANE_COUNTERS.index("clipped")
    assert [words[0][lane_counter(clipped, lane)] for lane in range(lanes)] == host.arguments["clipped"]
    assert words[0][register("config_hash").offset] == host.arguments["hash"]
    assert all(words[0][register(name).offset + 4] == 0 for name in COUNTERS), "the upper words"
