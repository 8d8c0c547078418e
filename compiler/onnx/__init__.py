"""ONNX files with quantized operators."""
