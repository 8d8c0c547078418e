"""Pools and reductions."""
