"""ONNX operators, one file an operator or family."""
