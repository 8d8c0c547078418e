"""A model in the emulator, in the machine and in the RTL, on the same inputs."""

from .execution import Execution
from .model import ModelChoice, choose_arithmetic, load_model

__all__ = ["Execution", "ModelChoice", "choose_arithmetic", "load_model"]
