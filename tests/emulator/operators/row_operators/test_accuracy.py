"""At most 0.51 codes from the real softmax, 0.6 from the real layer norm and RMS norm, whatever the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codesign.benchmarks.row_accuracy import DISTRIBUTIONS, furthest, norm_error, real_norm, real_softmax, softmax_error
from emulator import Arithmetic
from emulator.operators.row_operators import layer_norm, make_normalization, make_softmax, softmax

SOFTMAX, NORM = 0.51, 0.6
ARITHMETICS = [
    Arithmetic(multiplier_bits=bits, rounding=rounding)
    for bits, rounding in ((24, "half_even"), (16, "half_up"), (31, "half_away"), (1, "half_even"), (31, "double"))
]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_softmax(name: str) -> None:
    for arithmetic, length in zip(ARITHMETICS, (1024, 197, 16, 2, 64), strict=True):
        assert softmax_error(name, length, arithmetic, 2) <= SOFTMAX
        assert softmax_error(name, 4096 if arithmetic == Arithmetic() else 1, arithmetic, 2, rows=1) <= SOFTMAX


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_normalization(name: str, centered: bool) -> None:
    for arithmetic, length in zip(ARITHMETICS, (197, 64, 16, 2, 48), strict=True):
        assert norm_error(name, length, arithmetic, 2, centered) <= NORM
        assert norm_error(name, 4096 if arithmetic == Arithmetic() else 1, arithmetic, 2, centered, rows=1) <= NORM


def test_entries_of_16_bits_would_not_do() -> None:
    """4,095 codes of half a unit each, had the table 16 bits, would be none, and the largest 7 codes too large."""
    x = np.full((1, 4096), -128, np.int8)
    x[0, 0] = 127
    step = float(np.float32(math.log(2**16 / 0.49) / 255))
    parameters = make_softmax(step, 1 / 256, -128, -128, 127, Arithmetic())
    real = real_softmax(x[0].tolist(), [1] * 4096, step, 1.0)
    assert float(real[0]) * 256 < 249
    y = softmax(x, parameters, Arithmetic())
    assert furthest(y, [real], 1 / 256, -128) <= SOFTMAX


def test_equal_elements_have_equal_shares() -> None:
    for length in range(1, 300):
        parameters = make_softmax(0.1, 1 / 256, 0, -128, 127, Arithmetic(activation_bits=8))
        y = softmax(np.full((1, length), 9, np.int8), parameters, Arithmetic())
        assert (y == min(round(256 / length), 127)).all()


@pytest.mark.parametrize("bits", [16, 24])
def test_channels_of_which_one_is_thousands_of_times_the_others(bits: int) -> None:
    """γ brings them back: the codes of the others come from a few units of N · (x − mean)."""
    generator, arithmetic = np.random.default_rng(5), Arithmetic(multiplier_bits=bits)
    for length in (16, 768, 4096):
        x = generator.integers(-1, 2, (2, length)).astype(np.int8)
        x[:, 3] = 127
        gamma = np.full(length, 20.0)
        gamma[3] = 0.01
        beta = np.zeros(length)
        real = [real_norm(row, 1.0, gamma.tolist(), beta.tolist(), 1e-5, True) for row in x.tolist()]
        y_scale = float(np.float32(max(float(abs(value)) for row in real for value in row) / 127))
        parameters = make_normalization(length, 1.0, 0, y_scale, 0, -128, 127, arithmetic, gamma, beta)
        assert furthest(layer_norm(x, parameters, arithmetic), real, y_scale, 0) <= NORM
