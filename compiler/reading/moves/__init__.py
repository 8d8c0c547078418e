"""Codes moved, joined and framed."""
