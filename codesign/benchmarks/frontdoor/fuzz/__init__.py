"""Damaged and hostile files: how they are made, read within bounds, and judged."""
