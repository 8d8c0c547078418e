"""Masks of attention as integers: 1 where an element of a row counts, 0 where it does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import check_int, check_integers
from .rows import MAX_LENGTH

MAX_ROWS = 1 << 20
"""The most rows of one mask that is made here."""


def causal_mask(queries: int, keys: int, past: int = 0) -> NDArray[np.int8]:
    """(queries, keys) int8: query q sees the keys 0 … q + past.

    queries : 1 … 2^20; keys : 1 … 4096
    past : how many keys lie in front of the first query's own, as in a cache; 0 is torch's ``is_causal``
    """
    rows = check_int("queries", queries, 1, MAX_ROWS)
    columns = check_int("keys", keys, 1, MAX_LENGTH)
    before = check_int("past", past, 0, MAX_LENGTH)
    return (np.arange(columns) <= np.arange(rows)[:, None] + before).astype(np.int8)


def padding_mask(lengths: ArrayLike, keys: int) -> NDArray[np.int8]:
    """(…, keys) int8 of lengths (…), 0 … keys: the first `length` keys count, the padding behind them does not."""
    columns = check_int("keys", keys, 1, MAX_LENGTH)
    valid = check_integers("lengths", lengths, 0, columns)
    return (np.arange(columns) < valid[..., None]).astype(np.int8)


def check_mask(mask: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`mask`, integers 0 and 1 of a shape that broadcasts to `shape`, as bool."""
    values = check_integers("mask", mask, 0, 1)
    check_mask_shape(values.shape, shape)
    counts: NDArray[np.bool_] = values == 1
    return counts


def check_mask_shape(mask: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless a mask of that shape broadcasts to `shape`, that of x."""
    try:
        fits = np.broadcast_shapes(mask, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"mask must have a shape that broadcasts to that of x, {shape}, not {mask}")
