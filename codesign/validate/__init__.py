"""`validate`: the emulator against other people's runtimes of the same file, and why they differ where they do."""

from .comparison import TIE, LayerComparison, OutputComparison
from .validation import NAMES, RUNTIMES, Validation, validate

__all__ = ["NAMES", "RUNTIMES", "TIE", "LayerComparison", "OutputComparison", "Validation", "validate"]
