"""Quantization-aware training: torch models whose forward value is the accelerator's, bit for bit."""

from .export import export_onnx
from .model import PreparedModel, calibrate, codes, prepare

__all__ = ["PreparedModel", "calibrate", "codes", "export_onnx", "prepare"]
