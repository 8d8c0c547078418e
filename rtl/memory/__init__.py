"""Block RAMs and scratchpads."""
