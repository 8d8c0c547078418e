"""How a layer is cut into tiles that fit the scratchpads."""
