"""`validate`: the emulator against other people's runtimes of the same file, and why they differ where they do."""

from .comparison import TIE, LayerComparison, OutputComparison
from .validation import Validation, validate

__all__ = ["TIE", "LayerComparison", "OutputComparison", "Validation", "validate"]
