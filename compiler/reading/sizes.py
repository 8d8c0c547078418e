"""How large a tensor of a file may be; every size is checked before memory is taken."""

from __future__ import annotations

import math

MAX_ELEMENTS = 1 << 28


def check_elements(shape: tuple[int, ...], what: str) -> int:
    """Number of elements of `shape`; ``ValueError`` if a size is negative or the whole is over 2^28 elements."""
    if any(size < 0 for size in shape):
        raise ValueError(f"{what} must have sizes of at least 0, not shape {shape}")
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise ValueError(f"{what} must have at most 2^28 elements, not shape {shape}")
    return count
