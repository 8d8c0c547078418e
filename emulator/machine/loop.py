"""The cycle loop of the machine."""

from __future__ import annotations

from .array import convolve
from .bus import arbiter
from .compiled import compiled
from .front_end import control, fetch, sequencer
from .memory import external
from .post_processing import post_process
from .state import State
from .transfer import load, store


@compiled
def run(s: State, until: int) -> None:
    """Step until the run has ended or cycle `until` is reached.

    First the wires, which depend on registers only; then the registers, readers of a memory before its writers. A front
    end that changed nothing in the cycle before, and sees what it saw then, is left as it is.
    """
    c = s.control[0]
    while c.running and c.now < until:
        awake = sequencer.wakes(s)
        external.wires(s)
        arbiter.wires(s)
        store.wires(s)
        if awake:
            sequencer.wires(s)
        store.step(s)
        post_process.step(s)
        convolve.step(s)
        load.step(s)
        arbiter.step(s)
        external.step(s)
        control.step(s)
        if awake:
            sequencer.step(s)
            fetch.step(s)
