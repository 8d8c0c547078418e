"""Two products from one multiplier: every pair of operands in either place, and NumPy's products beside them."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator import AcceleratorConfig, Arithmetic
from rtl.array.compute import make_array
from rtl.array.packed_products import packed_products
from rtl.simulation.vectors import amaranth_component, play_vectors
from rtl.verilog.hierarchy import write_verilog

LATENCIES = (3, 4)


class Products(wiring.Component):
    """`packed_products` between ports."""

    def __init__(self, x_bits: int, weight_bits: int):
        self.bits = x_bits, weight_bits
        product = signed(x_bits + weight_bits)
        ports = {"x": In(signed(x_bits)), "weight": In(signed(weight_bits)).array(2), "product": Out(product).array(2)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        made = packed_products(m, self.x, self.weight)
        m.d.comb += [port.eq(value) for port, value in zip(self.product, made, strict=True)]
        return m


def edges(bits: int) -> np.ndarray:
    half = 1 << (bits - 1)
    return np.array([-half, -half + 1, -1, 0, 1, half - 1])


def draw(rng: np.random.Generator, x_bits: int, weight_bits: int) -> tuple[np.ndarray, ...]:
    """(x, left weight, right weight): all of their edges with each other, and 2000 random ones."""
    x_edges, w_edges, half = edges(x_bits)[1:], edges(weight_bits), 1 << (x_bits - 1)
    if weight_bits == 9:
        w_edges = w_edges[1:]  # a difference of codes as well
    grids = np.meshgrid(x_edges, w_edges, w_edges, indexing="ij")
    some = rng.integers(1 - half, half, 2000), *rng.integers(w_edges.min(), w_edges.max() + 1, (2, 2000))
    return tuple(np.concatenate((grid.ravel(), random)) for grid, random in zip(grids, some, strict=True))


def every_pair(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """All differences of two int8 codes times all int8 weights, in either place, beside random and extreme weights."""
    x, weight = (grid.ravel() for grid in np.meshgrid(np.arange(-255, 256), np.arange(-128, 128), indexing="ij"))
    beside = rng.integers(-128, 128, x.size), rng.choice(edges(8), x.size)
    cases = [(x, weight, other) for other in beside] + [(x, other, weight) for other in beside]
    return tuple(np.concatenate(column) for column in zip(*cases, strict=True))


def test_against_products() -> None:
    """Of 9 × 8 bits all pairs of operands; of other widths, with and without an overlap of the products, some."""
    rng = np.random.default_rng(1)
    widths = [(9, 8), (9, 9), (8, 8), (9, 5), (5, 4), (4, 9), (3, 2)]
    stimuli = [every_pair(rng), *(draw(rng, *bits) for bits in widths[1:])]
    parts = [amaranth_component(Products(*bits), f"products_{bits[0]}_{bits[1]}") for bits in widths]
    inputs = [dict(zip(("x", "weight__0", "weight__1"), case, strict=True)) for case in stimuli]
    for bits, case, out in zip(widths, stimuli, play_vectors(parts, inputs, drain=max(LATENCIES)), strict=True):
        for k, latency in enumerate(LATENCIES):
            seen = out[f"product__{k}"][latency:][: len(case[0])]
            np.testing.assert_array_equal(seen, case[0] * case[1 + k], f"{bits}, product {k}")


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 1), (2, 4), (3, 5)])
def test_multipliers_of_an_array(rows: int, columns: int, dataflow: str) -> None:
    """One ``*`` for each two columns, and one for a column that is left over."""
    arithmetic = Arithmetic(accumulator_bits=18)
    config = AcceleratorConfig(rows, columns, dataflow, packed_multipliers=True, arithmetic=arithmetic)
    array = make_array(config)
    text = amaranth_component(array, "array").source
    each = {kind: write_verilog({kind: component}).count(" * ") for kind, component in array.kinds.items()}
    assert set(each.values()) == {1}
    assert sum(text.count(f"{kind} ") for kind in each) == rows * -(-columns // 2)
