"""Vectors of the row operators, from the text of docs/contract.md, section 15, in Python integers and fractions.

``python tools/row_vectors.py tests/vectors`` writes softmax.json, layer_norm.json and rms_norm.json. The program shares
no code with the implementations. Vector `i` of a file depends on its name and `i` alone.

x, mask, gamma, beta and y are lists of one length; with `counts`, element i stands for counts[i] equal ones, so that
rows of thousands stay short. A missing mask, gamma or beta is none. sum, multiplier, shift, root and exponent are the
row's; every tenth normalization has its parameters as integers: epsilon, gamma, gamma_shift, beta.
"""

from __future__ import annotations

import json
import math
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

COUNT = 1000
ROUNDINGS = ("half_even", "half_up", "half_away", "floor", "toward_zero", "double")
ONE = 2**28 - 2**5
EXP_BITS = 200
Vector = dict[str, Any]


def float32(value: float) -> float:
    """The float32 nearest to `value`."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def half_even(value: Fraction) -> int:
    """Nearest integer, ties to even."""
    below, rest = divmod(value, 1)
    return below + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1))


def rounded(value: Fraction, shift: int, v: Vector) -> int:
    """value / 2^shift rounded by the vector's rounding (sections 3 and 10); value an integer."""
    quotient, rounding, bits = Fraction(value, 2**shift), v["rounding"], v["multiplier_bits"]
    below, rest = divmod(quotient, 1)
    if rounding == "double":
        addend = Fraction(2 ** (shift - 1) if shift else 0)
        if shift > bits:
            addend += 2 ** (bits - 1) if value >= 0 else -(2 ** (bits - 1))
        return math.floor((value + addend) / 2**shift)
    if rounding == "floor" or rest == 0:
        return below
    if rounding == "toward_zero":
        return below + (quotient < 0)
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    return {"half_even": below + below % 2, "half_up": below + 1, "half_away": below + (quotient > 0)}[rounding]


def clamped(value: int, v: Vector) -> int:
    return max(v["y_min"], min(v["y_max"], v["zero_point"] + value))


def exp_entry(argument: Fraction) -> int:
    """ONE · e^−argument to the nearest, by Taylor's series in integers after halving the argument."""
    if argument > 64:
        return 0
    halvings = max(argument.numerator.bit_length() - argument.denominator.bit_length() + 3, 0)
    one = 2**EXP_BITS
    x = math.floor(argument / 2**halvings * one)
    total = term = one
    for n in range(1, 60):
        term = -term * x // one // n
        total += term
    for _ in range(halvings):
        total = total * total // one
    scaled = Fraction(total * ONE, one)
    assert argument == 0 or abs(scaled % 1 - Fraction(1, 2)) > Fraction(1, 2**64), "too close to a tie to tell"
    return half_even(scaled)


def row_bits(v: Vector) -> int:
    return min(max(v["multiplier_bits"], 16), 24)


def softmax(v: Vector) -> None:
    """Add sum, multiplier, shift and y."""
    counts, mask = v.get("counts", [1] * len(v["x"])), v.get("mask", [1] * len(v["x"]))
    step = Fraction(v["x_scale"]) * Fraction(v["beta"])
    seen = [x for x, m in zip(v["x"], mask, strict=True) if m]
    table = {x: exp_entry(step * (max(seen) - x)) for x in set(seen)}
    entries = [table[x] if m else 0 for x, m in zip(v["x"], mask, strict=True)]
    total = sum(e * n for e, n in zip(entries, counts, strict=True))
    m = s = 0
    if total:
        c = max(c for c in range(31) if half_even(2**c / Fraction(v["y_scale"])) < 2**31)
        reciprocal = half_even(2**c / Fraction(v["y_scale"]))
        h, bits = total.bit_length(), row_bits(v)
        divisor = math.floor(Fraction(total) * 2**31 / 2**h)
        k = bits - 1 if reciprocal >= divisor else bits
        m = min(math.floor(Fraction(reciprocal * 2**k, divisor) + Fraction(1, 2)), 2**bits - 1)
        s = k + c + h - 36
    v.update(sum=total, multiplier=m, shift=s)
    v["y"] = [clamped(rounded(e // 32 * m, s, v), v) for e in entries]


def normalize(v: Vector, centered: bool) -> None:
    """Add root, exponent and y."""
    counts = v.get("counts", [1] * len(v["x"]))
    n = sum(counts)
    values = [x - v["x_zero_point"] for x in v["x"]]
    total = sum(a * c for a, c in zip(values, counts, strict=True)) if centered else 0
    spread = n * sum(a * a * c for a, c in zip(values, counts, strict=True)) - total**2
    root = j = 0
    if spread:
        radicand = spread * 2**16 + half_even(2**16 * n**2 * Fraction(v["epsilon"]) / Fraction(v["x_scale"]) ** 2)
        j = max(j for j in range(23) if 4 ** (8 + j) <= radicand)
        w = math.floor(Fraction(radicand) * 2**26 / 4 ** (8 + j))
        root = min((math.isqrt(2**60 // w) + 1) // 2, 2**16 - 1)
    v.update(root=root, exponent=j)
    gammas, betas = v.get("gamma", [1.0] * len(values)), v.get("beta", [0.0] * len(values))
    channels = [channel(v, g, b) for g, b in zip(gammas, betas, strict=True)]
    v["y"] = [code(v, n * a - total, root, j, *c) for a, c in zip(values, channels, strict=True)]
    if v.pop("spelled_out"):
        epsilon = half_even(2**16 * n**2 * Fraction(v["epsilon"]) / Fraction(v["x_scale"]) ** 2)
        g, s, b = map(list, zip(*channels, strict=True))
        v["integers"] = {"epsilon": epsilon, "gamma": g, "gamma_shift": s, "beta": b}


def channel(v: Vector, gamma: float, beta: float) -> tuple[int, int, int]:
    """gamma, its shift, and beta as integers; both quotients are float64, as the text says."""
    scale = Fraction(abs(gamma) / v["y_scale"])
    s = max(s for s in range(25) if s == 0 or half_even(scale * 2**s) < 2**16)
    g, b = half_even(scale * 2**s), half_even(Fraction(beta / v["y_scale"]) * 2**16)
    assert g < 2**16 and -(2**31) <= b < 2**31, "gamma or beta is out of range"
    return -g if gamma < 0 else g, s, b


def code(v: Vector, difference: int, root: int, j: int, g: int, s: int, b: int) -> int:
    """One code of a row."""
    places = 32 - row_bits(v)
    m = root * abs(g) // 2**places * 2**places
    product = difference * m * (-1 if g < 0 else 1)
    return clamped(rounded(b + math.floor(Fraction(product, 2 ** (j + s))), 16, v), v)


def common(draw: random.Random, index: int) -> Vector:
    """Widths, clamp and rounding."""
    bits = 8 if index % 4 else draw.randint(2, 7)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    v: Vector = {"activation_bits": bits, "multiplier_bits": draw.choice([24, 24, 24, 31, 16, draw.randint(1, 31)])}
    v["rounding"] = draw.choice(ROUNDINGS) if index % 2 else "half_even"
    y_min, y_max = sorted(draw.sample(range(low, high + 1), 2)) if draw.random() < 0.1 else (low, high)
    return v | {"y_min": y_min, "y_max": y_max, "zero_point": draw.choice([low, 0, draw.randint(low, high)])}


def row(draw: random.Random, index: int, v: Vector) -> None:
    """x, and counts for every twentieth: uniform, peaked, flat, with outliers, of few codes, constant."""
    low, high = -(2 ** (v["activation_bits"] - 1)), 2 ** (v["activation_bits"] - 1) - 1
    length = draw.choice([1, 2, 3, draw.randint(4, 12), draw.randint(8, 24), 16, draw.randint(16, 40)])
    kind, center = index % 7, draw.randint(low, high)
    limit = [high - low, high - low, 1, 3, 2, 0, (high - low) // 4][kind]
    near = max(low, center - limit), min(high, center + limit)
    x = [draw.randint(*(near if kind > 1 else (low, high))) for _ in range(length)]
    if kind in (1, 3):
        x[draw.randrange(length)] = draw.choice([low, high])
    if index % 20 == 0:
        total = draw.choice([4096, 1024, 768, draw.randint(length, 4096)])
        cuts = sorted(draw.sample(range(1, total), length - 1))
        v["counts"] = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    v["x"] = x


def softmax_vector(index: int) -> Vector:
    """Vector `index` of softmax.json."""
    draw = random.Random(f"softmax {index}")
    v = common(draw, index)
    row(draw, index, v)
    v["x_scale"] = float32(math.exp(draw.uniform(math.log(1e-4), math.log(4))))
    v["beta"] = draw.choice([1.0, 1.0, 0.125, 0.7071])
    full = 2 ** v["activation_bits"]
    v["y_scale"] = float32(draw.choice([1 / full, 1 / (full - 1), 2 ** -draw.uniform(0, 20), 2 / full]))
    if index % 3 == 0:
        padded = draw.randint(0, len(v["x"]))
        v["mask"] = [int(i < padded) if index % 2 else draw.randint(0, 1) for i in range(len(v["x"]))]
    if index % 50 == 25:  # quotients next to powers of two
        v |= {
            "x": [3],
            "multiplier_bits": draw.choice([16, 24]),
            "y_scale": (1 + draw.choice([1, draw.randint(0, 70)]) * 2**-23) / 256,
        }
        v |= {"counts": [2 ** draw.randint(0, 12)], "mask": [1]}
    if index % 50 == 40:  # small factors that count
        v |= {"x": [draw.randint(-128, 0) for _ in v["x"]] + [127], "x_scale": float32(14 / 255), "beta": 1.0}
        v |= {"y_scale": 2 ** -draw.randint(16, 20), "activation_bits": 8, "y_min": -128, "y_max": 127}
        v.pop("counts", None), v.pop("mask", None)
    softmax(v)
    return v


def normalization_vector(name: str, index: int) -> Vector:
    """Vector `index` of layer_norm.json or rms_norm.json."""
    draw = random.Random(f"{name} {index}")
    v = common(draw, index)
    row(draw, index, v)
    low, high = -(2 ** (v["activation_bits"] - 1)), 2 ** (v["activation_bits"] - 1) - 1
    v["x_zero_point"] = draw.choice([low, 0, draw.randint(low, high)])
    v["x_scale"] = float32(math.exp(draw.uniform(math.log(1e-3), math.log(2))))
    v["epsilon"] = draw.choice([1e-5, 1e-6, 1e-12, 0.0, 0.01])
    if index % 5:
        wide = draw.choice([0.1, 0.5, 3])
        gammas = [draw.choice([1, 1, 1, -1]) * math.exp(draw.gauss(0, wide)) for _ in v["x"]]
        v["gamma"] = [float(f"{0.0 if draw.random() < 0.05 else g:.4g}") for g in gammas]
    if index % 3:
        v["beta"] = [float(f"{draw.gauss(0, 1):.3g}") for _ in v["x"]]
    reach = max(map(abs, v.get("gamma", [1.0]))) * 3 + max(map(abs, v.get("beta", [0.0])))
    v["y_scale"] = float32(max(reach, 0.1) / (high + 1) * draw.choice([1.0, 0.5, 0.1, draw.uniform(0.05, 4)]))
    v["spelled_out"] = index % 10 == 0
    if index % 50 == 10:  # next to a power of two, below which, and just below the smallest shift's
        ratios = [(1 - 2.0**-18) * 2.0 ** draw.randint(-8, 8), 2.0 ** -draw.uniform(8, 20), 1 - 2.0**-16]
        v["gamma"] = [draw.choice(ratios) * v["y_scale"] for _ in v["x"]]
    normalize(v, name == "layer_norm")
    return v


def vector(name: str, index: int) -> Vector:
    """Vector `index` of the file `name`."""
    return softmax_vector(index) if name == "softmax" else normalization_vector(name, index)


def main(folder: Path) -> None:
    for name in ("softmax", "layer_norm", "rms_norm"):
        text = json.dumps([vector(name, index) for index in range(COUNT)])
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
