"""Packed products: two products with one factor in common from one multiplier of 18 × 18 bits."""

from collections.abc import Sequence

from amaranth import *

MULTIPLIER_BITS = 18
"""Bits of a factor of an FPGA's signed multiplier."""


def packed_products(m: Module, x: Value, weights: Sequence[Value]) -> tuple[Signal, Signal]:
    """(x · weights[0], three cycles later; x · weights[1], four cycles later).

    x : signed, a difference of two codes: never −2^(bits − 1); weights : two signed ones of the same width

    The multiplier's other factor is ``weights[1] · 2^s + weights[0]``, s as large as it may be for any two weights. So
    its product is ``upper · 2^s + lower`` of the two wanted ones. Of the lower one, bits from s on overlap with the
    upper one's first bits; these are multiplied a second time, modulo 2^overlap, and subtracted. What is left is the
    lower product's upper end, with its sign; that sign and the borrow say by how much the upper product's remaining
    bits are off: −1, 0 or 1. (Sommer, Özkan, Keszocze, Teich, "DSP-Packing", FPL 2022, call the overlap *overpacking*.)
    """
    lower, upper = weights
    shift = MULTIPLIER_BITS - 1 - len(upper)
    bits = len(x) + len(lower) - 1
    overlap = max(bits - shift, 0)
    factor = Signal(signed(MULTIPLIER_BITS), name="packed_factor", reset_less=True)
    x_factor = Signal(signed(len(x)), name="packed_x", reset_less=True)
    product = Signal(signed(MULTIPLIER_BITS + len(x)), name="packed_product", reset_less=True)
    m.d.sync += [factor.eq((upper << shift) + lower), x_factor.eq(x), product.eq(x_factor * factor)]
    shared = product[shift:][:bits]  # the upper product and the lower one's end

    first = Signal(signed(bits), name="product_0", reset_less=True)
    rest = Signal(bits - overlap, name="packed_rest", reset_less=True)
    if overlap:
        again = Signal(overlap, name="packed_upper", reset_less=True)
        low, known = (Signal(overlap, name=f"packed_{name}", reset_less=True) for name in ("again", "known"))
        end = Signal(overlap + 1, name="packed_end")
        borrow = Signal(name="packed_borrow", reset_less=True)
        m.d.comb += end.eq(shared[:overlap] - low)
        m.d.sync += [
            again.eq(upper),
            low.eq(_low_product(x_factor, again, overlap)),
            known.eq(low),
            first.eq(Cat(product[:shift], end[:overlap])),
            borrow.eq(end[overlap]),
        ]
    else:
        known, borrow = Const(0, 0), Const(0)
        m.d.sync += first.eq(product[:bits])
    second = Signal(signed(bits), name="product_1", reset_less=True)
    down, up = borrow & ~first[-1], first[-1] & ~borrow
    m.d.sync += [
        rest.eq(shared[overlap:]),
        second.eq(Cat(known, (rest + down.replicate(len(rest)) + up)[: len(rest)])),
    ]
    return first, second


def _low_product(x: Value, y: Value, bits: int) -> Value:
    """x · y modulo 2^bits, as a sum of multiples: no multiplier."""
    rows = [Mux(y[i], Cat(C(0, i), x[: bits - i]), 0) for i in range(bits)]
    return sum(rows[1:], rows[0])[:bits]
