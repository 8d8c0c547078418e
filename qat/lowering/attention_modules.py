"""`nn.MultiheadAttention` with the batch first, as layers have it: torch's own code brings the tokens in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

OWN = nn.MultiheadAttention.forward


@contextmanager
def batch_first() -> Iterator[None]:
    """While a model is captured, attention modules compute what they do in operators with the batch on axis 0."""
    nn.MultiheadAttention.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.MultiheadAttention.forward = OWN  # type: ignore[method-assign]


def forward(
    self: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """torch's arguments and results; where the batch is not first, or keys are added or hidden, torch's own code."""
    added = self.bias_k is not None or self.bias_v is not None or self.add_zero_attn
    if not self.batch_first or query.ndim != 3 or added or key_padding_mask is not None:
        return OWN(self, query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal)
    size, packed, bias = self.embed_dim, self.in_proj_weight, self.in_proj_bias
    places = [slice(first, first + size) for first in range(0, 3 * size, size)]
    weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
    if packed is not None:
        weights = [packed[place] for place in places]
    biases = [None if bias is None else bias[place] for place in places]
    q, k, v = (
        F.linear(x, weight, own).view(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)
        for x, weight, own in zip((query, key, value), weights, biases, strict=True)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask)
    result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
    if not need_weights:
        return result, None
    shares = (q @ k.mT * self.head_dim**-0.5).softmax(-1)
    return result, shares.mean(1) if average_attn_weights else shares
