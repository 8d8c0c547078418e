"""The accelerator in Amaranth, and its simulation."""

import os

from .simulate import simulate, simulate_images

# Amaranth's own packaged Yosys, whatever else is installed: the Verilog does not depend on the machine.
os.environ["AMARANTH_USE_YOSYS"] = "builtin"

__all__ = ["simulate", "simulate_images"]
