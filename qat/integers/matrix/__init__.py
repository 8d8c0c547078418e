"""A linear layer as steps of a chain."""
