"""The window counter against plain loops, in both orders of its two counters."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from emulator.instructions import ADDRESS_BITS
from emulator.timing import PREPARE_CYCLES
from rtl.window import Window

NAMES = (
    "output_height", "output_width", "kernel_height", "kernel_width", "input_height", "input_width",
    "stride_height", "stride_width", "dilation_height", "dilation_width", "pad_top", "pad_left",
)  # fmt: skip


def expected(g: dict[str, int], base: int, pixel_rows: int, kernel_inner: bool) -> list[tuple[bool, int, bool, bool]]:
    """(valid, address, last position, last kernel) step by step."""
    positions = [(y, x) for y in range(g["output_height"]) for x in range(g["output_width"])]
    kernel = [(y, x) for y in range(g["kernel_height"]) for x in range(g["kernel_width"])]
    pairs = [(p, k) for p in positions for k in kernel] if kernel_inner else [(p, k) for k in kernel for p in positions]
    steps = []
    for (oy, ox), (ky, kx) in pairs:
        y = oy * g["stride_height"] + ky * g["dilation_height"] - g["pad_top"]
        x = ox * g["stride_width"] + kx * g["dilation_width"] - g["pad_left"]
        valid = 0 <= y < g["input_height"] and 0 <= x < g["input_width"]
        address = (base + (y * g["input_width"] + x) * pixel_rows) % 2**ADDRESS_BITS
        steps.append((valid, address, (oy, ox) == positions[-1], (ky, kx) == kernel[-1]))
    return steps


@pytest.mark.parametrize("kernel_inner", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_against_loops(seed: int, kernel_inner: bool) -> None:
    rng = np.random.default_rng(seed)
    geometry = {name: int(rng.integers(1, 5)) for name in NAMES}
    geometry |= {"pad_top": int(rng.integers(-2, 3)), "pad_left": int(rng.integers(-2, 3))}
    if seed == 0:  # the largest values of every field: addresses wrap, coordinates do not
        geometry |= {"input_height": 4095, "input_width": 4095, "stride_height": 255, "dilation_width": 255}
        geometry |= {"pad_top": -2048, "pad_left": 2047}
    base, pixel_rows = int(rng.integers(1 << 16)), int(rng.integers(1, 1 << 12))
    window, seen = Window(), []

    async def bench(ctx):
        for name, value in (geometry | {"base": base, "pixel_rows": pixel_rows}).items():
            ctx.set(getattr(window, name), value)
        ctx.set(window.start, 1)
        await ctx.tick()
        ctx.set(window.start, 0)
        for _ in range(PREPARE_CYCLES - 1):
            await ctx.tick()
        for _ in expected(geometry, base, pixel_rows, kernel_inner):
            last = [ctx.get(window.last_position), ctx.get(window.last_kernel)]
            seen.append((bool(ctx.get(window.valid)), ctx.get(window.address), bool(last[0]), bool(last[1])))
            ctx.set(window.next_kernel, 1 if kernel_inner else last[0])
            ctx.set(window.next_position, last[1] if kernel_inner else 1)
            await ctx.tick()

    simulator = Simulator(window)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    steps = expected(geometry, base, pixel_rows, kernel_inner)
    # An address counts only where its pixel is valid.
    assert [s if s[0] else (s[0], *s[2:]) for s in seen] == [s if s[0] else (s[0], *s[2:]) for s in steps]
