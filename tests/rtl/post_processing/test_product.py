"""Every product of factors of few bits, signed and unsigned, against Python's; a large one at its corners."""

from __future__ import annotations

from itertools import product as pairs

from amaranth import Module, Shape, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.post_processing.product import SMALL, partial_products
from rtl.simulation.vectors import amaranth_component, play_vectors

FACTORS = [of(bits) for of in (signed, unsigned) for bits in (1, 2, 5)]
LARGE = [(signed(10), unsigned(9)), (unsigned(9), signed(9)), (signed(9), signed(9)), (signed(17), signed(16))]


class Product(wiring.Component):
    """The sum of the partial products of two ports, in bits enough for any sign."""

    def __init__(self, x: Shape, y: Shape):
        super().__init__({"x": In(x), "y": In(y), "xy": Out(signed(x.width + y.width + 1))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.xy.eq(sum(partial_products(self.x, self.y)))
        return m


def values(shape: Shape) -> list[int]:
    """All of few bits; those at the ends of many."""
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    return list(range(low, high + 1)) if shape.width <= 5 else [low, low + 1, -1 if shape.signed else 2, 0, 1, high]


def test_products(simulator: str) -> None:
    shapes = [*pairs(FACTORS, FACTORS), *LARGE]
    assert {x.width * y.width > SMALL for x, y in shapes} == {False, True}
    components = [amaranth_component(Product(x, y), f"product_{n}") for n, (x, y) in enumerate(shapes)]
    vectors = [list(pairs(values(x), values(y))) for x, y in shapes]
    stimuli = [{"x": [x for x, _ in given], "y": [y for _, y in given]} for given in vectors]
    for (x, y), given, shown in zip(shapes, vectors, play_vectors(components, stimuli, simulator), strict=True):
        assert shown["xy"].tolist() == [a * b for a, b in given], (x, y)
