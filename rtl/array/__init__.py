"""CONVOLVE: the systolic array, its scratchpads' ways to it, and its accumulators."""
