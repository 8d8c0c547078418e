"""Adder: ``clamp(zy + round(((a − za)·ma ± (b − zb)·mb) / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from .requantizer import PART, split
from .shift_round import ShiftRound


def adder_settings(arithmetic: Arithmetic) -> data.StructLayout:
    """Registers of the adder, those of ADDER, multipliers with the bits that the hardware has; y_min ≤ y_max."""
    rescaled = {"multiplier": arithmetic.multiplier_bits, "a_shift": 6, "b_shift": 6}
    bits = arithmetic.multiplier_bits if arithmetic.adder == "rescaled" else arithmetic.adder_multiplier_bits
    return data.StructLayout(
        {
            "a_multiplier": bits,
            "b_multiplier": bits,
            "shift": 6,
            "a_zero_point": signed(8),
            "b_zero_point": signed(8),
            "zero_point": signed(8),
            "y_min": signed(8),
            "y_max": signed(8),
            "subtract": 1,
            **(rescaled if arithmetic.adder == "rescaled" else {}),
        }
    )


class Adder(wiring.Component):
    """The contract's section 4, pipelined: differences, partial products, two sums, then `ShiftRound`.

    Members
    -------
    a, b : codes
    b_valid : 0: there is no b, its term is 0
    settings : `adder_settings`, constant while codes are on their way
    result : int8 code, `ADDER_LATENCY` cycles after its codes
    clipped : whether the rounded value plus zero point lay outside the code range
    """

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        super().__init__(
            {
                "a": In(signed(8)),
                "b": In(signed(8)),
                "b_valid": In(1),
                "settings": In(adder_settings(arithmetic)),
                "result": Out(signed(8)),
                "clipped": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arithmetic, settings = self.arithmetic, self.settings
        bits = arithmetic.adder_multiplier_bits
        a, b, a_difference, b_difference = (
            Signal(signed(9), name=name, reset_less=True)
            for name in ("a_factor", "b_factor", "a_difference", "b_difference")
        )
        m.d.sync += [
            # Registers that can lie beside the multipliers.
            a.eq(a_difference),
            b.eq(b_difference),
            a_difference.eq(self.a - settings.a_zero_point),
            b_difference.eq(
                Mux(
                    self.b_valid,
                    Mux(settings.subtract, settings.b_zero_point - self.b, self.b - settings.b_zero_point),
                    0,
                )
            ),
        ]
        sums = []
        parts = zip(split(settings.a_multiplier), split(settings.b_multiplier), strict=True)
        for index, (a_part, b_part) in enumerate(parts):
            width = 9 + len(a_part)
            a_term, b_term, both = (
                Signal(signed(width + (name == "sum")), name=f"{name}_{index}", reset_less=True)
                for name in ("a_term", "b_term", "sum")
            )
            m.d.sync += [a_term.eq(a_part * a), b_term.eq(b_part * b), both.eq(a_term + b_term)]
            sums.append(both)
        total = Signal(signed(bits + 10), reset_less=True)
        if len(sums) > 1:
            m.d.sync += total.eq(Cat(sums[0][:PART], sums[0][PART:].as_signed() + sums[1]))
        else:
            m.d.sync += total.eq(sums[0])

        m.submodules.rounding = rounding = ShiftRound(arithmetic, len(total))
        m.d.comb += rounding.value.eq(total)
        m.d.comb += [getattr(rounding, name).eq(settings[name]) for name in ("shift", "zero_point", "y_min", "y_max")]
        m.d.comb += [self.result.eq(rounding.result), self.clipped.eq(rounding.clipped)]
        return m
