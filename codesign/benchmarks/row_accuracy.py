"""How far softmax, layer norm and RMS norm are from the real functions of the dequantized codes, in codes.

The oracle computes in decimals of 50 digits. ``python -m codesign.benchmarks.row_accuracy`` prints the largest errors,
one line for each distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic
from emulator.operators.row_operators import (
    causal_mask,
    layer_norm,
    make_normalization,
    make_softmax,
    padding_mask,
    rms_norm,
    softmax,
)

LENGTHS = 1, 2, 16, 64, 197, 768, 1024, 4096
Codes = NDArray[np.int8]
Generator = np.random.Generator


def normal(generator: Generator, rows: int, length: int, spread: Any) -> Codes:
    return np.clip(np.rint(generator.normal(0, 1, (rows, length)) * spread), -128, 127).astype(np.int8)


def outlier_channels(generator: Generator, rows: int, length: int) -> Codes:
    x = normal(generator, rows, length, 2)
    x[:, :: max(length // 4, 1)] = generator.choice([-128, 127, 100], (rows, 1))
    return x


def one_above(generator: Generator, rows: int, length: int, others: tuple[int, int]) -> Codes:
    x = generator.integers(*others, (rows, length)).astype(np.int8)
    x[np.arange(rows), generator.integers(0, length, rows)] = 127
    return x


def level_tail(generator: Generator, rows: int, length: int) -> Codes:
    """One code above all others, which are equal: what they lose in rounding adds up."""
    x = np.repeat(generator.integers(-128, 100, (rows, 1)), length, axis=1).astype(np.int8)
    x[:, 0] = 127
    return x


DISTRIBUTIONS: dict[str, Callable[[Generator, int, int], Codes]] = {
    "uniform": lambda g, r, n: g.integers(-128, 128, (r, n)).astype(np.int8),
    "normal": lambda g, r, n: normal(g, r, n, 35),
    "peaked": lambda g, r, n: one_above(g, r, n, (-128, 0)),
    "level tail": level_tail,
    "flat": lambda g, r, n: g.integers(-1, 2, (r, n)).astype(np.int8),
    "constant": lambda g, r, n: np.repeat(g.integers(-128, 128, (r, 1)), n, axis=1).astype(np.int8),
    "outlier channels": outlier_channels,
    "uneven tokens": lambda g, r, n: normal(g, r, n, np.exp(g.uniform(-1, 5, (r, 1)))),
}


def real_softmax(x: Sequence[int], mask: Sequence[int], x_scale: float, beta: float) -> list[Decimal]:
    """Softmax of one row, 0 everywhere if nothing counts."""
    with localcontext(prec=50):
        seen = {code for code, counts in zip(x, mask, strict=True) if counts}
        step = Decimal(x_scale) * Decimal(beta)
        powers = {code: ((code - max(seen)) * step).exp() for code in seen}
        terms = [powers[code] if counts else Decimal(0) for code, counts in zip(x, mask, strict=True)]
        total = sum(terms)
        return [term / total if total else term for term in terms]


def real_norm(
    x: Sequence[int],
    x_scale: float,
    gamma: Sequence[float],
    beta: Sequence[float],
    epsilon: float,
    centered: bool,
) -> list[Decimal]:
    """Layer norm of one row of x − zx, or RMS norm; β where the numerator is 0."""
    with localcontext(prec=50):
        scale, total, n = Decimal(x_scale), sum(x) if centered else 0, len(x)
        spread = Decimal(n * sum(code * code for code in x) - total**2)
        root = (spread * scale * scale / n**2 + Decimal(epsilon)).sqrt()
        units = {c: Decimal(n * c - total) * scale / n / root if n * c != total else Decimal(0) for c in set(x)}
        return [Decimal(g) * units[c] + Decimal(b) for c, g, b in zip(x, gamma, beta, strict=True)]


def furthest(y: Codes, real: list[list[Decimal]], y_scale: float, zero_point: int) -> float:
    """Largest distance of codes from real values, those brought into the codes' range."""
    with localcontext(prec=50):
        step, low, high = Decimal(y_scale), Decimal(-128), Decimal(127)
        pairs = zip(y.ravel().tolist(), (value for row in real for value in row), strict=True)
        return float(max(abs(code - min(max(value / step + zero_point, low), high)) for code, value in pairs))


def masks(generator: Generator, rows: int, length: int) -> Iterator[NDArray[np.int8]]:
    yield np.ones((rows, length), np.int8)
    yield causal_mask(rows, length, past=int(generator.integers(0, length)))
    yield padding_mask(generator.integers(0, length + 1, rows), length)
    yield generator.integers(0, 2, (rows, length)).astype(np.int8)


def softmax_error(name: str, length: int, arithmetic: Arithmetic, seed: int, rows: int = 3) -> float:
    """Largest error of softmax over scales, masks and `rows` rows of that distribution and length.

    With the rounding ``double`` the output's scale is 1/256, as TFLM has it: the contract says what it costs elsewhere.
    """
    y_scales = (1 / 256,) if arithmetic.rounding == "double" else (1 / 256, 1 / 255, 2**-12, 2**-15)
    generator, worst = np.random.default_rng([seed, length]), 0.0
    for x_scale in (0.002, 0.03, 0.0455, 0.08, 0.4):
        for mask in masks(generator, rows, length):
            x = DISTRIBUTIONS[name](generator, rows, length)
            sx, sy = float(np.float32(x_scale)), float(generator.choice(np.float32(y_scales)))
            parameters = make_softmax(sx, sy, -128, -128, 127, arithmetic, 0.7)
            pairs = zip(x.tolist(), mask.tolist(), strict=True)
            real = [real_softmax(row, counts, sx, 0.7) for row, counts in pairs]
            worst = max(worst, furthest(softmax(x, parameters, arithmetic, mask), real, sy, -128))
    return worst


def norm_error(name: str, length: int, arithmetic: Arithmetic, seed: int, centered: bool, rows: int = 3) -> float:
    """Largest error of layer norm (`centered`) or RMS norm over scales, γ, β and `rows` rows."""
    generator, worst = np.random.default_rng([seed, length]), 0.0
    for x_scale, epsilon in ((0.001, 1e-5), (0.05, 1e-12), (0.4, 1e-5), (0.05, 0.0)):
        for spread in (None, 0.3, 2.0):
            x = DISTRIBUTIONS[name](generator, rows, length)
            sx, zero = float(np.float32(x_scale)), int(generator.integers(-128, 128))
            gamma = np.ones(length) if spread is None else np.exp(generator.normal(0, spread, length))
            gamma *= 1 if spread is None else generator.choice([-1, 1], length)
            beta = np.zeros(length) if spread is None else generator.normal(0, 1, length)
            values = x.astype(np.int64) - zero
            arguments = sx, gamma.tolist(), beta.tolist(), epsilon, centered
            real = [real_norm(row, *arguments) for row in values.tolist()]
            reach = float(max(abs(value) for row in real for value in row))
            least = max(float(np.abs(gamma).max()) * 2.0**-15, float(np.abs(beta).max()) / 500)
            sy = float(np.float32(max(reach / 127 * generator.choice([1, 0.5, 0.2]), least)))
            scales = sx, zero, sy, 5, -128, 127
            parameters = make_normalization(length, *scales, arithmetic, gamma, beta, epsilon)
            y = (layer_norm if centered else rms_norm)(x, parameters, arithmetic)
            worst = max(worst, furthest(y, real, sy, 5))
    return worst


def main() -> None:
    for bits in (16, 24):
        arithmetic = Arithmetic(multiplier_bits=bits)
        for name in DISTRIBUTIONS:
            softmaxes = max(softmax_error(name, length, arithmetic, 1) for length in LENGTHS)
            norms = (max(norm_error(name, n, arithmetic, 1, centered) for n in LENGTHS) for centered in (True, False))
            print(f"{bits} bits, {name}: softmax {softmaxes:.5f}, layer norm {next(norms):.5f}, RMS {next(norms):.5f}")


if __name__ == "__main__":
    main()
