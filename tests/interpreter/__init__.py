"""An untimed interpreter in plain NumPy: instructions one after the other on a memory image, or in any order of the
units that queues and tokens allow. It shares no code with compiler, machine or RTL, and is the oracle of all three.

Addresses outside a memory are an ``AssertionError``: compiled programs have none.
"""

from .interpreter import Interpreter
from .orders import run, run_out_of_order

__all__ = ["Interpreter", "run", "run_out_of_order"]
