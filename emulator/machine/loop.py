"""The cycle loop of the machine."""

from __future__ import annotations

from .array import convolve
from .array.pipeline import CONVOLVE
from .bus import arbiter
from .compiled import compiled
from .front_end import control, fetch, sequencer
from .memory import external
from .post_processing import post_process
from .state import State
from .transfer import load, store


@compiled
def _alone(s: State, until: int) -> None:
    """Cycles in which nothing but CONVOLVE does anything."""
    c, port, seen, head = s.control[0], s.ports[CONVOLVE], s.front.seen[CONVOLVE], s.front.queues[CONVOLVE]
    if c.now <= c.reset_at < until:
        until = c.reset_at
    first, work = c.now, 0
    while c.now < until:
        cycles, issued = convolve.stream(s, until - c.now)
        c.now += cycles
        work += issued
        if cycles:
            continue
        convolve.step(s)
        c.now += 1
        work += port.work
        if port.finished | port.fault or port.busy != seen.busy or (head.eligible and convolve.ready(s)):
            break
    control.count_rest(s, c.now - first, work)
    external.rest(s, c.now - first)


@compiled
def _rests(s: State) -> bool:
    """Whether all but CONVOLVE is at rest."""
    if not (external.rests(s) and control.rests(s)):
        return False
    return bool(load.rests(s) and store.rests(s) and post_process.rests(s) and not sequencer.wakes(s))


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
        elif _rests(s):
            _alone(s, until)
