"""Energy of a program: exact counts of what it uses, times a table of energies."""

from .accesses import ACCESSES, access_counts, instruction_accesses, total_accesses

__all__ = ["ACCESSES", "access_counts", "instruction_accesses", "total_accesses"]
