"""The cycle loop of the machine."""

from __future__ import annotations

from . import arbiter, control, convolve, external, fetch, load, post_process, sequencer, store
from .compiled import entry
from .state import State


@entry
def run(s: State, until: int) -> None:
    """Step until the run has ended or cycle `until` is reached.

    First the wires, which depend on registers only; then the registers, readers of a memory before its writers.
    """
    c = s.control[0]
    while c.running and c.now < until:
        external.wires(s)
        arbiter.wires(s)
        store.wires(s)
        sequencer.wires(s)
        store.step(s)
        post_process.step(s)
        convolve.step(s)
        load.step(s)
        arbiter.step(s)
        external.step(s)
        control.step(s)
        sequencer.step(s)
        fetch.step(s)
