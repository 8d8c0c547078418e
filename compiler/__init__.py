"""ONNX → integer `Graph` → `Program`: reading and checking a quantized model, and compiling it for one accelerator."""

from .compile_error import CompileError
from .compile_graph import compile_graph
from .errors import OnnxError
from .reader import load_onnx

__all__ = ["CompileError", "OnnxError", "compile_graph", "load_onnx"]
