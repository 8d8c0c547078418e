"""RescaledAdder: ``clamp(zy + round((a' ± b') · m / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic
from emulator.operators.requantization.multiplier import RESCALED_BITS, RESCALED_SUM_BITS

from .adder import adder_settings
from .requantizer import PART, Requantizer, split
from .shift_round import shift_down


class RescaledAdder(wiring.Component):
    """The contract's section 11, pipelined: differences, products, each operand rounded, their sum, then `Requantizer`.

    ``a' = round((a − za) · 2^20 · ma / 2^sa)``, b' likewise; of their sum `RESCALED_SUM_BITS` bits are kept.

    Members
    -------
    a, b, b_valid, settings : as of `Adder`
    result : int8 code, `RESCALED_ADDER_LATENCY` cycles after its codes
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
        settings = self.settings
        differences = {
            "a": self.a - settings.a_zero_point,
            "b": Mux(self.b_valid, self.b - settings.b_zero_point, 0),
        }
        a, b = (self._rescaled(m, name, difference) for name, difference in differences.items())
        total = Signal(signed(RESCALED_SUM_BITS), reset_less=True)
        m.d.sync += total.eq(Mux(settings.subtract, a - b, a + b))

        m.submodules.requantizer = requantizer = Requantizer(self.arithmetic, RESCALED_SUM_BITS)
        m.d.comb += requantizer.operand.eq(total)
        for name in ("multiplier", "shift", "zero_point", "y_min", "y_max"):
            m.d.comb += getattr(requantizer, name).eq(settings[name])
        m.d.comb += [self.result.eq(requantizer.result), self.clipped.eq(requantizer.clipped)]
        return m

    def _rescaled(self, m: Module, name: str, value: Value) -> Value:
        """An operand's term, seven cycles later."""
        multiplier, shift = self.settings[f"{name}_multiplier"], self.settings[f"{name}_shift"]
        difference, factor = (
            Signal(signed(9), name=f"{name}_{part}", reset_less=True) for part in ("difference", "factor")
        )
        # The second register can lie beside the multipliers.
        m.d.sync += [difference.eq(value), factor.eq(difference)]
        products = []
        for index, digit in enumerate(split(multiplier)):
            product = Signal(signed(9 + len(digit)), name=f"{name}_product_{index}", reset_less=True)
            m.d.sync += product.eq(digit * factor)
            products.append(product)
        exact = Signal(signed(9 + len(multiplier)), name=f"{name}_exact", reset_less=True)
        if len(products) > 1:
            m.d.sync += exact.eq(Cat(products[0][:PART], products[0][PART:].as_signed() + products[1]))
        else:
            m.d.sync += exact.eq(products[0])
        widened = Cat(C(0, RESCALED_BITS), exact).as_signed()
        quotient, increment, _, _ = shift_down(m, self.arithmetic, widened, shift, RESCALED_SUM_BITS, (3, 3))
        term = Signal(signed(RESCALED_SUM_BITS), name=f"{name}_term", reset_less=True)
        m.d.sync += term.eq(quotient + increment)
        return term
