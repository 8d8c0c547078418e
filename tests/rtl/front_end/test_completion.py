"""Completion alone: of many faults the earliest cycle's counts, in one cycle the oldest instruction's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emulator.front_end import INDEX_BITS, SETTLE_CYCLES
from emulator.instructions import Error, Unit
from rtl.front_end.completion import FAULT, Completion
from rtl.simulation.vectors import amaranth_component, play_vectors

UNITS = len(Unit)
DECODER = UNITS
"""Comes behind the units where the oldest one is looked for."""
INDICES = 1 << INDEX_BITS
UNIT_ERRORS = (Error.ADDRESS, Error.BUS)
DECODER_ERRORS = (Error.OPCODE, Error.FIELD, Error.ADDRESS, Error.PROGRAM_END, Error.BUS)
RUNS = 600
TAIL = SETTLE_CYCLES + 4
"""Cycles with nothing under way at the end of every run, enough for it to end."""


@dataclass(frozen=True)
class Report:
    """A fault of the instruction at a position of the program, which may be longer than indices count."""

    cycle: int
    position: int
    source: int
    error: Error


@dataclass
class Run:
    """A run's cycles from its start on: the stimuli, what is reported in them, and the cycle of a soft reset."""

    vectors: list[dict[str, int]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    reset: int | None = None

    def expected(self) -> tuple[bool, bool, Error, int]:
        """(done, failed, error, error_index)."""
        if self.reset is not None:
            return False, False, Error.NONE, 0
        if not self.reports:
            return True, False, Error.NONE, 0
        first = min(self.reports, key=lambda report: (report.cycle, report.position, report.source))
        return False, True, first.error, first.position % INDICES


def _fault(rng: np.random.Generator, valid: bool, error: int, position: int) -> int:
    """The bits of a fault; those of one that is not valid are arbitrary."""
    code, index = (error, position % INDICES) if valid else (int(rng.integers(16)), int(rng.integers(INDICES)))
    return valid << FAULT["valid"].offset | code << FAULT["code"].offset | index << FAULT["index"].offset


def _pack(faults: list[int]) -> int:
    """One fault of each unit, the first unit's lowest."""
    return sum(bits << FAULT.size * unit for unit, bits in enumerate(faults))


def _add(rng: np.random.Generator, run: Run, base: int, likely: float, **levels: int) -> None:
    """One more cycle, in which each source has a fault with a probability of `likely`."""
    cycle = len(run.vectors)
    faults, tokens = [], []
    for unit in Unit:
        # A token fault comes from an instruction that has ended: the unit's own fault from a later one.
        ended, current = base + np.sort(rng.choice(12, 2, replace=False))
        ended_fault, current_fault = (bool(drawn) for drawn in rng.random(2) < likely)
        error = int(rng.choice(UNIT_ERRORS))
        if ended_fault:
            run.reports.append(Report(cycle, int(ended), unit, Error.TOKEN))
        if current_fault:
            run.reports.append(Report(cycle, int(current), unit, Error(error)))
        tokens.append(_fault(rng, ended_fault, Error.TOKEN, int(ended)))
        faults.append(_fault(rng, current_fault, error, int(current)))
    refused, error = bool(rng.random() < likely), int(rng.choice(DECODER_ERRORS))
    position = base + 12 + int(rng.integers(3))
    if refused:
        run.reports.append(Report(cycle, position, DECODER, Error(error)))
    heads = [_fault(rng, bool(rng.random() < 0.5), Error.DEADLOCK, base + int(rng.integers(12))) for _ in Unit]
    run.vectors.append(
        {
            "faults": _pack(faults),
            "token_faults": _pack(tokens),
            "decoder_fault": _fault(rng, refused, error, position),
            "heads": _pack(heads),
            **levels,
        }
    )


def random_run(rng: np.random.Generator) -> Run:
    """Faults or none, a deadlock or none, perhaps a soft reset; then quiet until the run has ended."""
    run = Run()
    base = int(rng.choice([0, rng.integers(INDICES), INDICES - rng.integers(1, 15)]))
    likely = float(rng.choice([0.1, 0.4]))
    _add(rng, run, base, 0, start=1)
    for _ in range(int(rng.integers(1, 6))):
        _add(rng, run, base, 0, idle=int(rng.integers(2)))
    ends_by_itself = rng.random() < 0.3
    if not ends_by_itself:
        while not run.reports:
            _add(rng, run, base, likely, idle=int(rng.integers(2)))
        for _ in range(int(rng.integers(8))):
            _add(rng, run, base, 0.3, idle=int(rng.integers(2)))
    deadlock = ends_by_itself and rng.random() < 0.5
    waiting = [(base + int(rng.integers(12)), deadlock and bool(rng.random() < 0.6)) for _ in Unit]
    settled = len(run.vectors) + SETTLE_CYCLES
    if ends_by_itself:
        run.reports = [
            Report(settled, position, unit, Error.DEADLOCK)
            for unit, (position, waits) in enumerate(waiting) if waits
        ]  # fmt: skip
    heads = [_fault(rng, waits, Error.DEADLOCK, position) for position, waits in waiting]
    for _ in range(2 * TAIL):
        run.vectors.append({"heads": _pack(heads), "idle": 1, "quiet": 1})
    if rng.random() < 0.2:
        run.reset = int(rng.integers(1, len(run.vectors) - TAIL))
        run.vectors[run.reset]["reset"] = 1
    return run


def test_random_faults() -> None:
    rng = np.random.default_rng(20)
    runs = [random_run(rng) for _ in range(RUNS)]
    vectors = [vector for run in runs for vector in run.vectors]
    names = ("start", "reset", "faults", "token_faults", "decoder_fault", "heads", "idle", "quiet")
    stimuli = {name: [vector.get(name, 0) for vector in vectors] for name in names}
    (shown,) = play_vectors([amaranth_component(Completion(), "completion")], [stimuli])
    begin, ties = 0, 0
    for number, run in enumerate(runs):
        end = begin + len(run.vectors)
        here = {name: values[begin:end] for name, values in shown.items()}
        begin = end
        done, failed, error, index = (int(here[name][-1]) for name in ("done", "failed", "error", "error_index"))
        assert (bool(done), bool(failed), error, index) == run.expected(), f"run {number}"
        assert not here["running"][-1] and not here["resetting"][-1]
        assert here["ends"][run.reset or 0 :].sum() == (run.reset is None), f"run {number}"
        first = min([report.cycle for report in run.reports], default=len(run.vectors))
        stop = first if run.reset is None else min(first, run.reset)
        assert not here["stopping"][1 : stop + 1].any(), f"run {number}"
        if run.reset is None and run.reports:
            assert here["stopping"][stop + 1 :].all()
            assert all(run.vectors[cycle].get("idle") for cycle in np.flatnonzero(here["ends"])), f"run {number}"
        ties += sum(report.cycle == first for report in run.reports) > 1
    assert ties > RUNS // 3
