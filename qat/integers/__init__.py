"""The exact integer forward pass in torch tensors, and the straight-through gradients around it."""
