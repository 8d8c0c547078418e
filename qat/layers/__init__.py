"""The layers of a prepared model: exact integers forward, straight-through gradients backward."""
