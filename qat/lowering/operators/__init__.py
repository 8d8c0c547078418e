"""What torch's operators become, a file for each family; each handler registers itself."""

from . import (
    activations,
    affine,
    attention,
    choices,
    elementwise,
    gathers,
    moves,
    orders,
    padding,
    pools,
    products,
    recurrent,
    rows,
    unroll,
    upsampling,
    weights,
)

__all__ = [
    "activations",
    "affine",
    "attention",
    "choices",
    "elementwise",
    "gathers",
    "moves",
    "orders",
    "padding",
    "pools",
    "products",
    "recurrent",
    "rows",
    "unroll",
    "upsampling",
    "weights",
]
