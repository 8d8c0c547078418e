"""Layers that are functions of one code, as tables."""
