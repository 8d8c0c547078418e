"""The machine: the accelerator executed instruction by instruction, equal to the RTL in bits and in cycles."""

from .machine import Machine, check_images
from .result import Result, RunRecord, StoppedError, make_result

__all__ = ["Machine", "Result", "RunRecord", "StoppedError", "check_images", "make_result"]
