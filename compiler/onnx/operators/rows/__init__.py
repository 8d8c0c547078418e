"""Operators by rows: Softmax with its masks, and norms, as one operator or in steps."""
