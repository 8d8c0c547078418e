"""What each layer costs: cycles, utilization, bytes on the bus, what its units did, and what bounds it."""

from .bound import Bound, find_bound
from .instruction_work import Work, instruction_work
from .layer_profile import LayerProfile, profile
from .table import profile_table

__all__ = ["Bound", "LayerProfile", "Work", "find_bound", "instruction_work", "profile", "profile_table"]
