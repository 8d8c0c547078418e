"""A prepared model's layers as operators of TensorFlow Lite, which TFLM computes with the same integers."""
