"""Functions of one code or of two as tables over all codes, which many elements look up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from .threads import in_parallel

Codes = NDArray[np.int8]

PAIRS_PAY = 1 << 18  # elements: four times as many as the pairs of two codes
BLOCK = 1 << 16  # pairs at a time on one processor


def of_code(table: Codes, x: Codes) -> Codes:
    """``table[x]`` of any shape; table : 2^bits int8, entry 0 for the smallest code; x : int8 codes of `bits` bits."""
    if not x.size:
        return x.copy()
    by_byte = np.zeros(256, np.int8)
    by_byte[_codes(table.size).view(np.uint8)] = table
    found = bytearray(np.ascontiguousarray(x).data).translate(by_byte.tobytes())
    return np.frombuffer(found, np.int8).reshape(x.shape)


def of_pairs(function: Callable[[Codes, Codes], Codes], a: Codes, b: Codes, arithmetic: Arithmetic) -> Codes:
    """``function(a, b)``, an elementwise function of codes of shapes that broadcast.

    Where there are many elements it is computed once for each pair of codes.
    """
    shape = np.broadcast_shapes(a.shape, b.shape)
    if np.prod(shape) < PAIRS_PAY:
        return function(a, b)
    codes = _codes(1 << arithmetic.activation_bits)
    by_bytes = np.zeros((256, 256), np.int8)
    by_bytes[np.ix_(codes.view(np.uint8), codes.view(np.uint8))] = function(codes[:, None], codes[None])
    table = by_bytes.reshape(-1)
    left, right = (np.ascontiguousarray(np.broadcast_to(x, shape)).reshape(-1).view(np.uint8) for x in (a, b))
    result = np.empty(left.size, np.int8)

    def block(part: slice) -> None:
        # No index is out of range; `take` needs a mode that says so to write into `out` directly.
        np.take(table, left[part].astype(np.uint16) << 8 | right[part], out=result[part], mode="clip")

    in_parallel(block, [slice(first, first + BLOCK) for first in range(0, left.size, BLOCK)])
    return result.reshape(shape)


def _codes(count: int) -> Codes:
    """All `count` codes, the smallest first."""
    return np.arange(-(count // 2), count // 2).astype(np.int8)
