"""Energy of a program: exact counts of what it uses, times a table of energies."""

from .accesses import ACCESSES, access_counts, instruction_accesses, layer_accesses, total_accesses
from .energy import EnergyBreakdown, energy
from .table import EnergyTable, load_energy_table

__all__ = [
    "ACCESSES",
    "EnergyBreakdown",
    "EnergyTable",
    "access_counts",
    "energy",
    "instruction_accesses",
    "layer_accesses",
    "load_energy_table",
    "total_accesses",
]
