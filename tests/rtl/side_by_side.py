"""Many components in one top: elaborated, converted to Verilog and built once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped
from numpy.typing import ArrayLike, NDArray

from rtl.simulation.vectors import Component, amaranth_component, play_vectors


class SideBySide(wiring.Component):
    """Components that share nothing but the clock; component k's members are below the member ``ck``."""

    def __init__(self, components: Sequence[wiring.Component]):
        self.components = components
        super().__init__({f"c{index}": Out(component.signature) for index, component in enumerate(components)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, component in enumerate(self.components):
            m.submodules[f"c{index}"] = component
            connect(m, flipped(getattr(self, f"c{index}")), component)
        return m


def converted(components: Sequence[wiring.Component]) -> Component:
    """The top in Verilog, for those who play it more than once: converting takes longer than playing."""
    return amaranth_component(SideBySide(components), "side_by_side")


def play(
    components: Sequence[wiring.Component] | Component,
    stimuli: Sequence[Mapping[str, ArrayLike]],
    simulator: str = "verilator",
) -> list[dict[str, NDArray[np.int64]]]:
    """Per component what its outputs show, vector by vector; stimuli: per component {input: integers (N,)}.

    components : as they are, or what `converted` has made of them
    """
    lengths = [len(next(iter(stimulus.values()))) for stimulus in stimuli]
    inputs = {
        f"c{index}__{name}": np.pad(np.asarray(values), (0, max(lengths) - len(values)))
        for index, stimulus in enumerate(stimuli)
        for name, values in stimulus.items()
    }
    top = components if isinstance(components, Component) else converted(components)
    (outputs,) = play_vectors([top], [inputs], simulator)
    return [
        {
            name.removeprefix(f"c{index}__"): values[:length]
            for name, values in outputs.items()
            if name.startswith(f"c{index}__")
        }
        for index, length in enumerate(lengths)
    ]
