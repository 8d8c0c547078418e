"""Hypothesis strategies shared by the emulator's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emulator import Arithmetic
from emulator.arithmetic import OVERFLOWS, ROUNDINGS

# Compiling a kernel takes longer than any deadline; without randomness a failure is seen again on the next run.
few = settings(max_examples=40, deadline=None, derandomize=True)
many = settings(max_examples=150, deadline=None, derandomize=True)


def vectors(name: str) -> list[dict[str, Any]]:
    """The contract's vectors of that file."""
    path = Path(__file__).parent.parent / "vectors" / f"{name}.json"
    return list(json.loads(path.read_text(encoding="utf-8")))


@st.composite
def arithmetics(draw: st.DrawFn, narrow: bool = False) -> Arithmetic:
    """Any legal Arithmetic; with `narrow` mostly accumulators that overflow."""
    bits = draw(st.integers(8, 20) if narrow else st.integers(8, 48))
    return Arithmetic(
        activation_bits=draw(st.integers(2, 8)),
        weight_bits=draw(st.integers(2, 8)),
        accumulator_bits=bits,
        overflow=draw(st.sampled_from(OVERFLOWS)),
        multiplier_bits=draw(st.integers(1, min(31, 63 - max(bits, 24)))),
        rounding=draw(st.sampled_from(ROUNDINGS)),
    )


def edge_integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers in low … high, often at an end."""
    return st.one_of(st.sampled_from([low, high]), st.integers(low, high))


def codes(seed: int, shape: tuple[int, ...], limits: tuple[int, int]) -> NDArray[np.int8]:
    """Seeded int8 codes, a third of them at an end of `limits`, which makes sums overflow."""
    generator = np.random.default_rng(seed)
    values = generator.integers(limits[0], limits[1] + 1, shape)
    ends = np.where(generator.random(shape) < 0.5, limits[0], limits[1])
    return np.where(generator.random(shape) < 1 / 3, ends, values).astype(np.int8)


seeds = st.integers(0, 2**32 - 1)
