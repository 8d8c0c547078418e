"""Layers with weights: their codes, biases and scales, and what becomes such a layer."""
