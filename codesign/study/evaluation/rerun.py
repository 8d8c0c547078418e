"""`rerun`: one point of a study computed anew, without any store, and on request in the simulated RTL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...execution.execution import Execution, OnCycles
from ...inputs.model_inputs import random_codes
from ...synthesis.area_model import Measured
from ..definition.study import Point, Study
from ..engine.evaluator import Details
from ..engine.task import Outcome, Task
from ..value import Value
from .evaluator import StudyEvaluator
from .several import run_roles

OnTask = Callable[[str], None]
"""Called with the kind of each task before it is done."""


@dataclass(frozen=True, eq=False)
class Rerun:
    """What a point is worth, computed alone.

    values, details : as the study has them; failure : one sentence, or None
    mismatches : with RTL, what differs between emulator, machine and RTL on one random sample of each network: codes
        of all layers, counters, bytes of memory, cycles; all 0 where they agree. None without RTL
    rtl_cycles : of the RTL, all networks together, or None
    """

    values: Mapping[str, Value]
    details: Details
    failure: str | None = None
    mismatches: Mapping[str, int] | None = None
    rtl_cycles: int | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing failed and nothing differs."""
        return self.failure is None and not any((self.mismatches or {}).values())


def rerun(
    study: Study,
    point: Point,
    rtl: bool = False,
    confirm: bool = False,
    on_task: OnTask | None = None,
    on_cycles: OnCycles | None = None,
    syntheses: tuple[Measured, ...] = (),
) -> Rerun:
    """Do all of a point's work again.

    rtl : run the point's networks in Verilator too, and compare
    confirm : do the work too that only the points of the front get
    on_cycles : as of `Execution.run_rtl`
    syntheses : that the study knew when it began, as of `known_syntheses`
    """
    evaluator = StudyEvaluator(study, syntheses)
    done: dict[str, Outcome] = {}
    ran: dict[str, Task] = {}
    for step in (evaluator.tasks, evaluator.confirmation)[: 1 + confirm]:
        while tasks := step(point, done):
            for role, task in tasks.items():
                if on_task is not None:
                    on_task(task.kind)
                ran[role], done[role] = task, evaluator.execute(task)
    failure = next((outcome.failure for outcome in done.values() if outcome.failure is not None), None)
    values, details = evaluator.values(point, done), evaluator.details(point, done)
    if failure is not None or not rtl:
        return Rerun(values, details, failure)
    found: Counter[str] = Counter()
    cycles = 0
    for role in run_roles(study):
        differing, spent = _compare(ran[role], done[role].values, point, on_cycles)
        found.update(differing)
        cycles += spent
    return Rerun(values, details, None, dict(found), cycles)


def _compare(
    task: Task, told: Mapping[str, Any], point: Point, on_cycles: OnCycles | None
) -> tuple[dict[str, int], int]:
    """({what: how much of it differs}, cycles of the RTL) of one random sample."""
    from .run import task_graph

    graph = replace(task_graph(task), head=None, tail=None)
    execution = Execution(graph, point.config, random_codes(graph, 1), latency=task.arguments["latency"])
    machine = execution.run_machine()
    simulated = execution.run_rtl(on_progress=on_cycles)
    found = {f"{pair}_codes": sum(layers.values()) for pair, layers in execution.layer_mismatches().items()}
    found |= execution.other_mismatches()
    found["machine_rtl_cycles"] = abs(machine.cycles - simulated.cycles)
    found["study_rtl_cycles"] = abs(told["cycles"] - simulated.cycles)
    return found, simulated.cycles
