"""What one point of a study is worth: the tasks that find it out, and what their outcomes make of it."""

from .evaluator import StudyEvaluator
from .rerun import Rerun, rerun

__all__ = ["Rerun", "StudyEvaluator", "rerun"]
