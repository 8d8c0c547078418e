"""CONVOLVE: the systolic array, its weights and its accumulators."""
