"""Rotator: brings skewed operands to the rows of the output-stationary array."""

from collections.abc import Sequence

from amaranth import *

from emulator.timing import rotator_stages


def rotate(m: Module, values: Sequence[Value], amount: Value, name: str) -> list[Value]:
    """Value (k + amount) modulo n, `rotator_stages` cycles later, for any number n of equally wide values.

    Each level moves all values by a power of two, modulo n, or leaves them; a register follows every second level.
    """
    count, width = len(values), len(values[0])
    levels = (count - 1).bit_length()
    current, stages = Cat(*values), 0
    for level in range(levels):
        distance = (1 << level) * width
        moved = Signal(count * width, name=f"{name}_level_{level}")
        m.d.comb += moved.eq(Mux(amount[level], Cat(current[distance:], current[:distance]), current))
        current = moved
        if level % 2 or level == levels - 1:
            register = Signal(count * width, name=f"{name}_{stages}", reset_less=True)
            delayed = Signal(len(amount), name=f"{name}_amount_{stages}", reset_less=True)
            m.d.sync += [register.eq(current), delayed.eq(amount)]
            current, amount, stages = register, delayed, stages + 1
    assert stages == rotator_stages(count)
    return [current[k * width : (k + 1) * width].as_signed() for k in range(count)]
