"""``[objectives]`` and ``[constraints]``: names, directions and bounds, and whether the study can have them at all."""

from __future__ import annotations

from collections.abc import Mapping

from ..objectives import MEASURES
from .study import Constraint, Objective, Study
from .tables import check_keys, choice, number

DIRECTIONS = ("minimize", "maximize")
MEASURED = 'confirm = "all" in [synthesis]'


def read_objectives(value: object) -> tuple[Objective, ...]:
    """Of a table {measure: direction}, or of a list of measures in their better directions."""
    if isinstance(value, list):
        found = [Objective(_measure(name, "objectives"), MEASURES[name].better) for name in value]
    else:
        table = check_keys(value, tuple(MEASURES), "[objectives]")
        found = [Objective(name, choice(way, DIRECTIONS, f"[objectives] {name}")) for name, way in table.items()]
    if not found:
        raise ValueError('[objectives] must name at least one measure, as cycles = "minimize"')
    names = [objective.measure for objective in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"objectives must be different, not {name!r} twice")
    return tuple(found)


def _measure(name: object, where: str) -> str:
    return choice(name, tuple(MEASURES), f"each of {where}")


def read_constraints(value: object) -> tuple[Constraint, ...]:
    """Of {measure: {min, max}}; ``true`` for one that is 0 or 1."""
    found = []
    for name, bounds in check_keys(value, tuple(MEASURES), "[constraints]").items():
        where = f"[constraints] {name}"
        if name == "fits":
            if bounds is not True:
                raise ValueError(f"{where} must be true, not {bounds!r}")
            found.append(Constraint(name, low=1.0))
            continue
        if not isinstance(bounds, Mapping) or not bounds:
            raise ValueError(f"{where} must be a table {{min, max}} with at least one of them, not {bounds!r}")
        check_keys(bounds, ("min", "max"), where)
        low, high = (number(bounds[key], f"{where} {key}") if key in bounds else None for key in ("min", "max"))
        if low is not None and high is not None and low > high:
            raise ValueError(f"{where}: min must be at most max ({high:g}), not {low:g}")
        found.append(Constraint(name, low, high))
    return tuple(found)


def check_measurable(study: Study) -> None:
    """Raise ``ValueError`` for an objective or a constraint that the study has not what it takes for."""
    asked = [("[objectives]", objective.measure) for objective in study.objectives]
    asked += [("[constraints]", constraint.measure) for constraint in study.constraints]
    for where, name in asked:
        missing = _missing(study, name)
        if missing:
            raise ValueError(f"{where} {name} needs {missing}")


def _missing(study: Study, name: str) -> str:
    if name == "accuracy":
        if study.data is None:
            return "[data], which this study has not"
        if study.training is None and study.network.kind != "file":
            return "[training], which this study has not"
    if name in ("clock_mhz", "latency_us") and study.clock_mhz is None and not (study.place and study.confirm == "all"):
        return f"clock_mhz in [device], or {MEASURED} and place = true"
    if name in ("asic_area", "asic_delay_ns"):
        if study.liberty is None:
            return "liberty in [synthesis]"
        if study.confirm != "all":
            return MEASURED
    return ""
