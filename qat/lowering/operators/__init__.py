"""What torch's operators become, a file for each family; each handler registers itself."""

from . import activations, elementwise, moves, orders, pools, recurrent, unroll, weights

__all__ = ["activations", "elementwise", "moves", "orders", "pools", "recurrent", "unroll", "weights"]
