"""``lockstep demo``: handwritten digits, from a float network to the codes in the RTL's memory, every code compared."""

from __future__ import annotations

from .result import CurvePoint, Demo
from .run import CONFIG, run_demo

__all__ = ["CONFIG", "CurvePoint", "Demo", "run_demo"]
