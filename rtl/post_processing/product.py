"""Products beside the array: block multipliers, of which an FPGA has few, for large ones, LUTs for small ones."""

from amaranth import *

SMALL = 80
"""Bits of one factor times bits of the other, up to which a product is a sum of multiples."""


def partial_products(x: Value, y: Value, small: int = SMALL) -> list[Value]:
    """Terms whose sum is x · y, for registers before that sum: two for a small product, each with half of a factor.

    small : as of `SMALL`; 0: all products in multipliers
    """
    if len(x) * len(y) > small:
        return [x * y]
    if len(y) > len(x):
        x, y = y, x
    if len(y) == 1:
        return [_multiples(x, y)]
    half = (len(y) + 1) // 2
    upper = y[half:].as_signed() if y.shape().signed else y[half:]
    return [_multiples(x, y[:half]), _multiples(x, upper) << half]


def _multiples(x: Value, y: Value) -> Value:
    """x · y as the sum of x · 2^i for the bits i of y."""
    terms = [Mux(bit, x << place, 0) for place, bit in enumerate(y)]
    if y.shape().signed:
        terms[-1] = Mux(y[-1], -(x << (len(y) - 1)), 0)
    while len(terms) > 1:
        terms = [sum(terms[i + 1 : i + 2], terms[i]) for i in range(0, len(terms), 2)]
    width = len(x) + len(y)
    return terms[0][:width].as_signed() if x.shape().signed or y.shape().signed else terms[0][:width]
