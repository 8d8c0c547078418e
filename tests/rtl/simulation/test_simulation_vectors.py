"""`play_vectors`: components side by side, their latency, signs, widths, and unknown bits."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.testing import assert_array_equal

from rtl.simulation import SimulationError
from rtl.simulation.vectors import Component, Port, amaranth_component, play_vectors


class Multiplier(wiring.Component):
    """y = a·b, one cycle later; parity, in the same cycle, of a and a nested member."""

    def __init__(self, width: int) -> None:
        super().__init__({
            "a": In(signed(width)), "b": In(width), "y": Out(signed(2 * width)),
            "flags": Out(wiring.Signature({"parity": Out(1)})),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.y.eq(self.a * self.b)
        m.d.comb += self.flags.parity.eq(self.a.xor())
        return m


def test_components_side_by_side(simulator: str) -> None:
    """Registered outputs come one element later than combinational ones; values are exact at every width."""
    print("seed 1")
    generator = np.random.default_rng(1)
    widths = [5, 8, 31, 40]
    stimuli = [
        {
            "a": generator.integers(-(1 << (width - 1)), 1 << (width - 1), 50 + width),
            "b": generator.integers(0, 1 << width, 50 + width),
        }
        for width in widths
    ]
    components = [amaranth_component(Multiplier(width), f"multiplier_{width}") for width in widths]
    results = play_vectors(components, stimuli, simulator, drain=1)
    for width, values, result in zip(widths, stimuli, results, strict=True):
        products = [int(a) * int(b) for a, b in zip(values["a"], values["b"], strict=True)]
        parity = [(int(a) & ((1 << width) - 1)).bit_count() % 2 for a in values["a"]]
        assert_array_equal(result["y"], [0, *products])
        assert_array_equal(result["flags__parity"], [*parity, 0])
        assert result["y"].dtype == (np.int64 if 2 * width < 64 else object)


def test_inputs_that_do_not_fit_are_refused() -> None:
    component = amaranth_component(Multiplier(8), "multiplier")
    with pytest.raises(ValueError, match=r"multiplier\.a must be from -128 to 127, not 1 … 128"):
        play_vectors([component], [{"a": [1, 128]}])
    with pytest.raises(ValueError, match=r"multiplier must have one of its inputs \(a, b\) driven, not 'c'"):
        play_vectors([component], [{"c": [1]}])
    with pytest.raises(
        ValueError, match=r"all inputs of multiplier must have the same number of vectors, not \[1, 2\]"
    ):
        play_vectors([component], [{"a": [1], "b": [1, 2]}])
    with pytest.raises(ValueError, match=r"stimuli must be as many as components \(1\), not 0"):
        play_vectors([component], [])


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_unknown_bits_are_an_error(simulator: str) -> None:
    component = Component(
        "hole",
        "module hole (input wire a, output wire b); assign b = a ? 1'bx : 1'b0; endmodule",
        (Port("a", 1),),
        (Port("b", 1),),
        clocked=False,
    )
    with pytest.raises(SimulationError, match=r"hole\.b is unknown in cycle 2: [xX]"):
        play_vectors([component], [{"a": [0, 0, 1]}], simulator)
