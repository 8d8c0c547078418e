"""Operators that select, repeat, regroup or frame codes."""
