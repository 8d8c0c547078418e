"""Equal instances as loops: the same Verilog for a simulator whose time is that of fetching straight code."""

from .roll import has_loops, roll

__all__ = ["has_loops", "roll"]
