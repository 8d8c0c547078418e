"""The registers and memories that the units step: a file of types for each unit, and `State`, which holds them all."""

from .state import State

__all__ = ["State"]
