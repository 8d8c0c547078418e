"""The simulation harness: cached simulators, a testbench with a behavioural memory, and vector players.

`build_testbench` and `run_images` run programs on a whole accelerator; `rtl.simulation.vectors` drives components with
one vector per clock; `build` and `BuiltSimulator.run` are what both stand on.
"""

from .errors import SimulationError, ToolError
from .session import AcceleratorSimulator, SimulatedRun, build_testbench, run_images
from .simulator import BuiltSimulator, build
from .tools import SIMULATORS, find_simulator

__all__ = [
    "SIMULATORS",
    "AcceleratorSimulator",
    "BuiltSimulator",
    "SimulatedRun",
    "SimulationError",
    "ToolError",
    "build",
    "build_testbench",
    "find_simulator",
    "run_images",
]
