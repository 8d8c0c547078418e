"""Co-design studies: one file in, a Pareto front out; every number that of the hardware, or marked as an estimate.

>>> from codesign.study import read_study, run_study  # doctest: +SKIP
>>> result = run_study(read_study("STUDY.toml"), "FOLDER", workers=2)  # doctest: +SKIP
>>> [(point.index, point.values["cycles"].number) for point in result.front]  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .definition.read_study import read_study
    from .engine.run import run_study

__all__ = ["read_study", "run_study"]

_PLACES = {"read_study": ".definition.read_study", "run_study": ".engine.run"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name], __name__), name)
