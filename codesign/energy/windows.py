"""Positions of a window that lie inside its input: what the hardware's coordinates tell, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache


@lru_cache(maxsize=1 << 14)
def steps_inside(outputs: int, kernel: int, stride: int, dilation: int, padding: int, size: int) -> int:
    """Of the outputs · kernel steps along one axis, those whose coordinate o · stride + k · dilation − padding is one
    of 0 … size − 1."""
    inside = 0
    for k in range(kernel):
        offset = padding - k * dilation
        first, last = max(0, -(-offset // stride)), min(outputs - 1, (offset + size - 1) // stride)
        inside += max(0, last - first + 1)
    return inside


def positions_inside(fields: Mapping[str, int]) -> int:
    """Steps of a CONVOLVE's or REDUCE's window over all outputs that are no padding, of one row of channels."""
    lines, pixels = (
        steps_inside(
            fields[f"output_{size}"],
            fields[f"kernel_{size}"],
            fields[f"stride_{size}"],
            fields[f"dilation_{size}"],
            fields[pad],
            fields[f"input_{size}"],
        )
        for size, pad in (("height", "pad_top"), ("width", "pad_left"))
    )
    return lines * pixels
