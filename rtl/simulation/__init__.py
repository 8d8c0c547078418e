"""The simulation harness: cached simulators, a testbench with a behavioural memory, and vector players.

`build_testbench` and `run_plans` run programs on a whole accelerator; `rtl.simulation.vectors` drives components with
one vector per clock; `build` and `BuiltSimulator.run` are what both stand on.
"""

from .errors import SimulationError, ToolError
from .script import Plan
from .session import AcceleratorSimulator, SimulatedRun, build_testbench, run_plans
from .simulator import BuiltSimulator, build
from .tools import SIMULATORS, find_simulator

__all__ = [
    "SIMULATORS",
    "AcceleratorSimulator",
    "BuiltSimulator",
    "Plan",
    "SimulatedRun",
    "SimulationError",
    "ToolError",
    "build",
    "build_testbench",
    "find_simulator",
    "run_plans",
]
