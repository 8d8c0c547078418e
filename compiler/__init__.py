"""A model file → integer `Graph` → `Program`: reading and checking a quantized model, and compiling it."""

from .emit.compile_error import CompileError
from .emit.compile_graph import compile_graph
from .emit.features import default_config
from .load_model import load_model
from .onnx.load_onnx import load_onnx
from .reading.errors import ModelError

__all__ = ["CompileError", "ModelError", "compile_graph", "default_config", "load_model", "load_onnx"]
