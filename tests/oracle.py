"""The numeric contract in plain Python integers and fractions: slow, obvious, and independent of the code under test.

Matrices and feature maps are nested lists; every function follows one sentence of `docs/contract.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

Matrix = Sequence[Sequence[int]]


def overflow(value: int, bits: int, mode: str) -> int:
    """`value` brought back into `bits` signed bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return max(low, min(high, value)) if mode == "saturate" else (value - low) % (1 << bits) + low


def dot(
    x: Sequence[int], w: Sequence[int], bias: int, zero_point: int, bits: int, mode: str, w_zero_point: int = 0
) -> tuple[int, bool]:
    """One sequential sum, and whether a step left the range."""
    acc, left = bias, False
    for code, weight in zip(x, w, strict=True):
        exact = acc + (code - zero_point) * (weight - w_zero_point)
        acc = overflow(exact, bits, mode)
        left = left or acc != exact
    return acc, left


def accumulate(
    x: Matrix,
    w: Matrix,
    bias: Sequence[int],
    zero_point: int,
    bits: int,
    mode: str,
    w_zero_points: Sequence[int] | None = None,
) -> tuple[list[list[int]], list[list[bool]]]:
    """x (M, K), w (K, N), weight zero points (N,), None for all 0 → sums and flags (M, N)."""
    zeros = w_zero_points or [0] * len(bias)
    columns = [[row[n] for row in w] for n in range(len(bias))]
    cells = [[dot(row, columns[n], bias[n], zero_point, bits, mode, zeros[n]) for n in range(len(bias))] for row in x]
    return [[acc for acc, _ in row] for row in cells], [[flag for _, flag in row] for row in cells]


def matrix_product(
    a: Matrix, b: Matrix, a_zero_point: int, b_zero_point: int, bits: int, mode: str
) -> tuple[list[list[int]], list[list[bool]]]:
    """a (M, K), b (K, N) → sums and flags (M, N)."""
    columns = len(b[0])
    return accumulate(a, b, [0] * columns, a_zero_point, bits, mode, [b_zero_point] * columns)


def depthwise_place(tap: tuple[int, int], width: int, dilation: int, taps: int) -> tuple[int, int]:
    """(word, place in it) of a depthwise kernel's (line, pixel) in lanes that take so many taps a cycle."""
    line, pixel = tap
    if dilation > 1 and width > 1:  # pixels that are not neighbours
        return line * width + pixel, 0
    if taps == 9 and width <= 3:
        return line // 3, line % 3 * 3 + pixel
    return line * math.ceil(width / taps) + pixel // taps, pixel % taps


def round_fraction(value: Fraction, rounding: str) -> int:
    """`value` rounded to an integer."""
    below = math.floor(value)
    rest = value - below
    if rounding == "floor":
        return below
    if rounding == "toward_zero":
        return math.trunc(value)
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    if rounding == "half_up":
        return below + 1
    if rounding == "half_away":
        return below + (value > 0)
    return below + below % 2


def divide(product: int, shift: int, rounding: str, multiplier_bits: int | None) -> int:
    """product / 2^shift rounded to an integer; ``double`` takes gemmlowp's two steps, at 2^B and from there on."""
    if rounding != "double":
        return round_fraction(Fraction(product, 2**shift), rounding)
    assert multiplier_bits is not None
    if shift <= multiplier_bits:
        return round_fraction(Fraction(product, 2**shift), "half_up")
    high = round_fraction(Fraction(product, 2**multiplier_bits), "half_up")
    return round_fraction(Fraction(high, 2 ** (shift - multiplier_bits)), "half_away")


def requantize(
    acc: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    rounding: str,
    activation_bits: int = 8,
    multiplier_bits: int | None = None,
) -> tuple[int, bool]:
    """One output code, and whether it clipped; `multiplier_bits` is B of the rounding ``double``."""
    value = zero_point + divide(acc * multiplier, shift, rounding, multiplier_bits)
    clipped = not -(2 ** (activation_bits - 1)) <= value < 2 ** (activation_bits - 1)
    return max(y_min, min(y_max, value)), clipped


def quantize_multiplier(scale: Fraction, bits: int, rounding: str = "half_even") -> tuple[int, int]:
    """(multiplier, shift) of an exact real scale ≥ 0; of the rounding ``double`` as TFLM makes them."""
    if scale == 0:
        return 0, 0
    exponent = 0
    while scale / Fraction(2) ** exponent >= 1:
        exponent += 1
    while scale / Fraction(2) ** exponent < Fraction(1, 2):
        exponent -= 1
    last_bit = "half_away" if rounding == "double" else "half_even"
    multiplier = round_fraction(scale / Fraction(2) ** exponent * 2**bits, last_bit)
    shift = bits - exponent
    if multiplier == 2**bits:
        multiplier, shift = multiplier // 2, shift - 1
    if rounding == "double" and bits - shift < -31:
        return 0, 0
    if shift > 62:
        return round_fraction(scale * 2**62, "half_even"), 62
    if shift < 0:
        raise ValueError("scale")
    return multiplier, shift


def add(
    a: int,
    za: int,
    ma: int,
    b: int,
    zb: int,
    mb: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    rounding: str,
    multiplier_bits: int | None = None,
) -> int:
    """The residual adder; a negative mb subtracts."""
    terms = (a - za) * ma + (b - zb) * mb
    return requantize(terms, 1, shift, zero_point, y_min, y_max, rounding, multiplier_bits=multiplier_bits)[0]


def rescaled_operand(
    code: int, zero_point: int, multiplier: int, shift: int, rounding: str, multiplier_bits: int
) -> int:
    """One operand of the rescaled adder, on the scale of the sum."""
    return divide((code - zero_point) * 2**20 * multiplier, shift, rounding, multiplier_bits)


def window(
    size: tuple[int, int],
    corner: tuple[int, int],
    kernel: tuple[int, int],
    dilations: tuple[int, int],
) -> list[tuple[int, int] | None]:
    """The map positions of one window in the order (kernel row, kernel column); None is padding."""
    taps: list[tuple[int, int] | None] = []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            row, column = corner[0] + i * dilations[0], corner[1] + j * dilations[1]
            taps.append((row, column) if 0 <= row < size[0] and 0 <= column < size[1] else None)
    return taps


def corners(
    size: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilations: tuple[int, int] = (1, 1),
) -> list[list[tuple[int, int]]]:
    """The upper left corner of every window: rows of output positions."""
    top, left, bottom, right = padding
    last_row = size[0] + bottom - (kernel[0] - 1) * dilations[0] - 1
    last_column = size[1] + right - (kernel[1] - 1) * dilations[1] - 1
    return [
        [(row, column) for column in range(-left, last_column + 1, strides[1])]
        for row in range(-top, last_row + 1, strides[0])
    ]


def convolve(
    x: Sequence[Sequence[Sequence[int]]],
    weight: Sequence[Sequence[Sequence[Sequence[int]]]],
    bias: Sequence[int],
    zero_point: int,
    bits: int,
    mode: str,
    strides: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilations: tuple[int, int],
    groups: int,
    w_zero_points: Sequence[int] | None = None,
) -> list[list[list[tuple[int, bool]]]]:
    """One map x (H, W, C), weight (O, kernel height, kernel width, C / groups) → (sum, flag) per (OH, OW, O)."""
    size, kernel = (len(x), len(x[0])), (len(weight[0]), len(weight[0][0]))
    zeros = w_zero_points or [0] * len(weight)
    depth, per_group = len(weight[0][0][0]), len(weight) // groups
    result = []
    for line in corners(size, kernel, strides, padding, dilations):
        cells = []
        for corner in line:
            taps = window(size, corner, kernel, dilations)
            channels = []
            for o in range(len(weight)):
                first = o // per_group * depth
                codes, weights = [], []
                for t, tap in enumerate(taps):
                    for c in range(depth):
                        codes.append(zero_point if tap is None else x[tap[0]][tap[1]][first + c])
                        weights.append(weight[o][t // kernel[1]][t % kernel[1]][c])
                channels.append(dot(codes, weights, bias[o], zero_point, bits, mode, zeros[o]))
            cells.append(channels)
        result.append(cells)
    return result


def pool(
    x: Sequence[Sequence[Sequence[int]]],
    reduce: Callable[[list[int]], int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilations: tuple[int, int] = (1, 1),
) -> list[list[list[int]]]:
    """`reduce` over the codes of each window of one map x (H, W, C), padding left out → (OH, OW, C)."""
    size = (len(x), len(x[0]))
    return [
        [
            [
                reduce([x[t[0]][t[1]][c] for t in window(size, corner, kernel, dilations) if t is not None])
                for c in range(len(x[0][0]))
            ]
            for corner in line
        ]
        for line in corners(size, kernel, strides, padding, dilations)
    ]


def table(
    function: Callable[[float], float], sx: float, zx: int, sy: float, zy: int, y_min: int, y_max: int, bits: int
) -> list[int]:
    """A lookup table's codes, from the smallest input code on."""
    codes = []
    for x in range(-(2 ** (bits - 1)), 2 ** (bits - 1)):
        quotient = function(sx * (x - zx)) / sy
        if math.isinf(quotient):
            codes.append(y_max if quotient > 0 else y_min)
        else:
            codes.append(max(y_min, min(y_max, zy + round_fraction(Fraction(quotient), "half_even"))))
    return codes
