"""Constants that operators make of constants, by ONNX's own reference evaluator."""
