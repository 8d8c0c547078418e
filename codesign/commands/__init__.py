"""The work of each command of ``lockstep``, one file a command; `codesign.app` has their arguments."""

SAMPLES = {"run": 8, "simulate": 4, "validate": 16, "diverge": 4}
"""Command → random samples that it takes where neither inputs nor another number are given."""
