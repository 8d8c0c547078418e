"""Burst walk: the bursts of random transfers against plain loops, and its rate."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from emulator.instructions import Instruction, Opcode
from rtl.transfer.bursts import BurstWalk
from tests.rtl.transfer import transfer_cases

BASE = 0x12345000


def expected_bursts(instruction: Instruction, count: int, bus_bytes: int) -> list[tuple[int, int]]:
    """(address, beats) of the first `count` pixels' bursts: their words, cut where 256 beats or 4 KiB end."""
    reach = min(256, 4096 // bus_bytes)
    bursts = []
    for _, (address, _) in zip(range(count), transfer_cases.pixels(instruction), strict=False):
        words = range(address // bus_bytes, (address + instruction["pixel_bytes"] - 1) // bus_bytes + 1)
        for word in words:
            if word == words[0] or word % reach == 0:
                bursts.append([word * bus_bytes, 0])
            bursts[-1][1] += 1
    return [(address, beats) for address, beats in bursts]


@pytest.mark.parametrize("seed", range(24))
def test_bursts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = transfer_cases.random_config(rng)
    memory_bytes = int(rng.choice([2048, 4096, 5 * 4096 + 32]))
    walk = BurstWalk(config.bus_bytes)
    transfers = [
        transfer_cases.random_transfer(rng, config, Opcode.STORE, memory_bytes, illegal)
        for illegal in (False, True) * 3
    ]
    always = bool(seed % 2)

    async def bench(ctx) -> None:
        ctx.set(walk.lanes, config.columns)
        ctx.set(walk.depth, config.output_depth)
        ctx.set(walk.memory_bytes, memory_bytes)
        ctx.set(walk.base, BASE)
        for transfer in transfers:
            count = transfer_cases.legal(config, transfer, memory_bytes)
            expected = expected_bursts(transfer, count, config.bus_bytes)
            ctx.set(walk.fields.as_value(), int.from_bytes(transfer.encode(), "little"))
            ctx.set(walk.start, 1)
            await ctx.tick()
            ctx.set(walk.start, 0)
            bursts, faults, cycles = [], 0, 0
            while ctx.get(walk.busy):
                accept = always or bool(rng.integers(3) == 0)
                ctx.set(walk.accept, accept)
                ctx.set(walk.enable, always or bool(rng.integers(3)))
                if ctx.get(walk.valid) and accept:
                    bursts.append((ctx.get(walk.address) - BASE, ctx.get(walk.length) + 1))
                faults += ctx.get(walk.fault)
                await ctx.tick()
                cycles += 1
            assert bursts == expected
            assert faults == (count < transfer["lines"] * transfer["pixels"])
            if always:
                assert cycles == 2 * len(bursts) + 3 + faults

    simulator = Simulator(walk)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
