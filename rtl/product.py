"""Products beside the array: block multipliers, of which an FPGA has few, for large ones, LUTs for small ones."""

from amaranth import *

SMALL = 48
"""Bits of one factor times bits of the other, up to which a product is a sum of multiples."""


def product(x: Value, y: Value) -> Value:
    """x · y, exactly."""
    if len(x) * len(y) > SMALL:
        return x * y
    if len(y) > len(x):
        x, y = y, x
    signed = y.shape().signed
    terms = [Mux(bit, x << place, 0) for place, bit in enumerate(y)]
    if signed:
        terms[-1] = Mux(y[-1], -(x << (len(y) - 1)), 0)
    while len(terms) > 1:
        terms = [sum(terms[i + 1 : i + 2], terms[i]) for i in range(0, len(terms), 2)]
    result = terms[0]
    width = len(x) + len(y)
    return result[:width].as_signed() if signed or x.shape().signed else result[:width]
