"""Sums to codes: multipliers, shifts and their one rounding."""
