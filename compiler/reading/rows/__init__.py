"""Softmax, layer norm and RMS norm, whatever file they come from."""
