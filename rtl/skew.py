"""Skew: delays lane k by k cycles, or undoes that, at the edges of the systolic wavefront."""

from collections.abc import Sequence

from amaranth import *


def skew(m: Module, values: Sequence[Value], name: str) -> list[Value]:
    """Value k, k cycles later; as many registers as the triangle has places."""
    delayed, rest = [values[0]], list(values[1:])
    for stage in range(1, len(values)):
        register = Signal(sum(len(value) for value in rest), name=f"{name}_{stage}", reset_less=True)
        m.d.sync += register.eq(Cat(*rest))
        parts, position = [], 0
        for value in rest:
            part = register[position : position + len(value)]
            parts.append(part.as_signed() if value.shape().signed else part)
            position += len(value)
        delayed.append(parts[0])
        rest = parts[1:]
    return delayed


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The value, so many cycles later."""
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{stage}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


def deskew(m: Module, values: Sequence[Value], name: str) -> list[Value]:
    """Value k, n − 1 − k cycles later: what `skew` delayed is in step again."""
    return skew(m, list(values)[::-1], name)[::-1]
