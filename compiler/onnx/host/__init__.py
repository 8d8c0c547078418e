"""What the host computes around the accelerator: operators of the file itself, run by ONNX Runtime."""
