"""What `scaled_dot_product_attention` becomes: a product with the keys, a softmax, a product with the values."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx, nn

from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..registry import handles
from .elementwise import operand
from .moves import add_transpose
from .products import add_product
from .rows import add_softmax


@handles("scaled_dot_product_attention.default")
def attention(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """1/√d is a part of the first product's multiplier."""
    if a.dropout_p:
        raise ValueError("its dropout must be off in eval mode: give it dropout_p=0.0 unless self.training")
    query, key, value = shape_of(a.query), shape_of(a.key), shape_of(a.value)
    if not len(query) == len(key) == len(value) >= 2:
        raise ValueError(
            "queries, keys and values must have the batch first and equally many axes behind it, 2 or 3, not "
            f"{query}, {key} and {value}: give them axes of size 1 with unsqueeze"
        )
    heads = query[:-2], key[:-2], value[:-2]
    if a.enable_gqa and len(set(heads)) > 1:
        raise ValueError(f"its heads must be equally many, not {heads}: repeat keys and values before")
    rank = len(key) + 1
    axes = (*range(rank - 2), rank - 1, rank - 2)
    turned = add_transpose(lowering, node, operand(lowering, node, a.key), key, axes)
    factor = 1 / math.sqrt(query[-1]) if a.scale is None else a.scale
    if not 0 < factor < math.inf:
        raise ValueError(f"its scale must be a positive number, not {factor!r}: negate the queries instead")
    scores = add_product(lowering, node, operand(lowering, node, a.query), turned, factor, "scores")
    visible = visible_keys(lowering, a, (*query[:-1], key[-2]))
    shares = add_softmax(lowering, node, scores, key[-2], visible, "softmax")
    add_product(lowering, node, shares, operand(lowering, node, a.value))


def visible_keys(lowering: Lowering, a: Arguments, shape: tuple[int, ...]) -> Tensor | None:
    """Where a key counts for a query, bool, of a shape that broadcasts to the scores' `shape`; None: everywhere."""
    if a.is_causal:
        return torch.ones(shape[-2:], dtype=torch.bool).tril()
    if a.attn_mask is None:
        return None
    computed = lowering.constants.computed(a.attn_mask) if a.attn_mask in lowering.constants else None
    if computed is None or computed.names:
        raise ValueError(
            "its mask must be constant, the same for every sample: make it in forward of sizes alone, or give "
            "is_causal=True"
        )
    mask: Tensor = computed(nn.Module())
    added = a.attn_mask.meta["val"].dtype != torch.bool
    visible: Tensor = (mask == 0) if added else (mask != 0)
    if added and not bool((visible | (mask == -torch.inf)).all()):
        raise ValueError("its mask must hold 0 and −infinity, or be bool: a sum with other numbers has no layer")
    if visible.ndim == len(shape) + 1:
        if len(visible) > 1:
            raise ValueError(f"its mask must be the same for every sample, not of a batch of {len(visible)}")
        visible = visible[0]
    if not bool(visible.any(-1).all()):
        raise ValueError("its mask must leave at least one key to every query")
    return visible
