"""The window's counters against plain loops, in both orders of its counters."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from emulator.instructions import ADDRESS_BITS
from emulator.timing import WINDOW_LATENCY, WINDOW_SETUP_CYCLES
from rtl.array.window import Window
from rtl.window_setup import WINDOW_FIELDS, WindowSetup

DEPTH = 300


class Prepared(wiring.Component):
    """A window with its setup, the geometry held by the bench."""

    def __init__(self) -> None:
        names = {name: In(shape) for name, shape in WINDOW_FIELDS.items()}
        names |= {"channel_rows": In(12), "base": In(16), "pixel_rows": In(12), "start": In(1), "begin": In(1)}
        names |= {"next_position": In(1), "next_kernel": In(1), "ready": Out(1), "tiles": Out(28), "positions": Out(24)}
        names |= {"last_position": Out(1), "last_kernel": Out(1)}
        super().__init__(names | {"valid": Out(1), "outside": Out(1), "address": Out(ADDRESS_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.setup = setup = WindowSetup()
        m.submodules.window = window = Window(DEPTH)
        m.d.comb += [window.steps.eq(setup.steps), window.moves.eq(self.begin | self.next_position)]
        m.d.comb += [window.follows.eq(self.begin), window.next_kernel.eq(self.begin | self.next_kernel)]
        for part in (setup, window):
            for name, member in part.signature.members.items():
                if name in self.signature.members and name != "next_kernel":
                    mine, other = getattr(self, name), getattr(part, name)
                    m.d.comb += other.eq(mine) if member.flow is wiring.In else mine.eq(other)
        return m


def expected(g: dict[str, int], kernel_inner: bool) -> list[tuple[bool, bool, int, bool, bool]]:
    """(valid, outside, address, last position, last kernel) step by step."""
    positions = [(y, x) for y in range(g["output_height"]) for x in range(g["output_width"])]
    kernel = [
        (y, x, c) for y in range(g["kernel_height"]) for x in range(g["kernel_width"]) for c in range(g["channel_rows"])
    ]
    pairs = [(p, k) for p in positions for k in kernel] if kernel_inner else [(p, k) for k in kernel for p in positions]
    steps = []
    for (oy, ox), (ky, kx, channel) in pairs:
        y = oy * g["stride_height"] + ky * g["dilation_height"] - g["pad_top"]
        x = ox * g["stride_width"] + kx * g["dilation_width"] - g["pad_left"]
        valid = 0 <= y < g["input_height"] and 0 <= x < g["input_width"]
        address = (g["base"] + (y * g["input_width"] + x) * g["pixel_rows"] + channel) % 2**ADDRESS_BITS
        last = (oy, ox) == positions[-1], (ky, kx, channel) == kernel[-1]
        steps.append((valid, valid and address >= DEPTH, address, *last))
    return steps


def random_geometry(rng: np.random.Generator, extreme: bool) -> dict[str, int]:
    made = {name: int(rng.integers(1, 5)) for name in (*WINDOW_FIELDS, "channel_rows", "pixel_rows")}
    made |= {"pad_top": int(rng.integers(-2, 3)), "pad_left": int(rng.integers(-2, 3)), "base": int(rng.integers(400))}
    if extreme:  # the largest values of many fields: addresses wrap, coordinates do not
        made |= {"input_height": 4095, "input_width": 4095, "stride_height": 255, "dilation_width": 255}
        made |= {"pad_top": -2048, "pad_left": 2047, "pixel_rows": 4095, "base": 65535}
    return made


@pytest.mark.parametrize("kernel_inner", [False, True])
def test_against_loops(kernel_inner: bool) -> None:
    """Several geometries; the last position of one and the first of the next are in consecutive cycles."""
    rng = np.random.default_rng(kernel_inner)
    geometries = [random_geometry(rng, k in (2, 5)) for k in range(8)]
    # So far outside that a coordinate's lowest 14 bits are inside again.
    small = geometries[0] | dict.fromkeys(("output_height", "output_width", "kernel_height", "channel_rows"), 1)
    small |= {"kernel_width": 1, "pad_top": 0, "pad_left": 0}
    for counted, step in (
        ("output_height", "stride_height"),
        ("output_width", "stride_width"),
        ("kernel_height", "dilation_height"),
        ("kernel_width", "dilation_width"),
    ):
        geometries.append(small | {counted: 130, step: 128})
    window, seen = Prepared(), []
    steps = [step for geometry in geometries for step in expected(geometry, kernel_inner)]

    async def prepare(ctx, geometry: dict[str, int]) -> None:
        for name, value in geometry.items():
            ctx.set(getattr(window, name), value)
        ctx.set(window.start, 1)
        await ctx.tick()
        ctx.set(window.start, 0)
        assert not ctx.get(window.ready)
        await ctx.tick().repeat(WINDOW_SETUP_CYCLES - 1)
        assert ctx.get(window.ready)
        assert ctx.get(window.tiles) == geometry["kernel_height"] * geometry["kernel_width"] * geometry["channel_rows"]
        assert ctx.get(window.positions) == geometry["output_height"] * geometry["output_width"]

    async def walk(ctx) -> None:
        lasts: list[tuple[int, int]] = []
        await prepare(ctx, geometries[0])
        ctx.set(window.begin, 1)
        await ctx.tick()
        for number, geometry in enumerate(geometries):
            ctx.set(window.begin, 0)
            ctx.set(window.next_position, 0)
            ctx.set(window.next_kernel, 0)
            here = expected(geometry, kernel_inner)
            for index in range(len(here)):
                if index == len(here) - 1 and number + 1 < len(geometries):
                    ctx.set(window.next_position, 0)
                    ctx.set(window.next_kernel, 0)
                    await prepare(ctx, geometries[number + 1])
                    ctx.set(window.begin, 1)
                last = ctx.get(window.last_position), ctx.get(window.last_kernel)
                lasts.append(last)
                ctx.set(window.next_kernel, 1 if kernel_inner else last[0])
                ctx.set(window.next_position, last[1] if kernel_inner else 1)
                await ctx.tick()
        assert lasts == [step[3:] for step in steps]

    async def pipeline(ctx) -> None:
        """What leaves the pipeline WINDOW_LATENCY cycles after a step's counters."""
        history: list[bool] = []
        while True:
            fresh = ctx.get(window.begin) | ctx.get(window.next_position) | ctx.get(window.next_kernel)
            history.append(bool(fresh))
            await ctx.tick()
            if len(history) > WINDOW_LATENCY and history[-1 - WINDOW_LATENCY]:
                seen.append((bool(ctx.get(window.valid)), bool(ctx.get(window.outside)), ctx.get(window.address)))

    simulator = Simulator(window)
    simulator.add_clock(1e-6)
    simulator.add_testbench(walk)
    simulator.add_testbench(pipeline, background=True)
    simulator.run()
    wanted = [step[:3] for step in steps][: len(seen)]
    assert len(seen) >= len(steps) - WINDOW_LATENCY - 1
    # An address counts only where its pixel is valid.
    assert [s if s[0] else s[:2] for s in seen] == [s if s[0] else s[:2] for s in wanted]
