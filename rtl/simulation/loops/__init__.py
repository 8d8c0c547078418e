"""Equal instances as loops: the same Verilog for a simulator whose time is that of fetching straight code."""

from .roll import roll

__all__ = ["roll"]
