"""The contract's operators on whole tensors, one a file."""
