"""Widths and roots of int64 tensors, digit by digit."""

from __future__ import annotations

import torch
from torch import Tensor


def bit_length(values: Tensor) -> Tensor:
    """``int.bit_length`` of every element, int64; values 0 … 2^63 − 1."""
    length, rest = torch.zeros_like(values), values
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >> step > 0
        length = length + step * large
        rest = torch.where(large, rest >> step, rest)
    return length + (rest > 0)


def floor_root(values: Tensor, bits: int) -> Tensor:
    """``math.isqrt`` of every element, int64; bits : the root's width, at most 31."""
    root = torch.zeros_like(values)
    for digit in reversed(range(bits)):
        trial = root | (1 << digit)
        root = torch.where(trial * trial <= values, trial, root)
    return root
