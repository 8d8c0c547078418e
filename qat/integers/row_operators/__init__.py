"""The operators by rows of `emulator.operators.row_operators` on torch tensors, with equal bits."""
