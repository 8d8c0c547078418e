"""What torch's operators become, a file for each family; each handler registers itself."""

from . import (
    activations,
    affine,
    choices,
    elementwise,
    gathers,
    moves,
    orders,
    padding,
    pools,
    products,
    recurrent,
    unroll,
    upsampling,
    weights,
)

__all__ = [
    "activations",
    "affine",
    "choices",
    "elementwise",
    "gathers",
    "moves",
    "orders",
    "padding",
    "pools",
    "products",
    "recurrent",
    "unroll",
    "upsampling",
    "weights",
]
