"""Exact matrix products of codes in bytes, by torch's kernels for int8 on x86 with VNNI or AMX.

They take a quarter of a float32 product's time. Without such instructions oneDNN may add two products in 16 bits,
saturating, or be no faster; there, and where a product of extreme bytes is not exact, there is no byte product.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

INSTRUCTIONS = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")
LEAST_STEPS = 1 << 21  # of M·K·N: about what the passes to bytes and back are worth
MAX_LENGTH = 1 << 16  # of K: 2^16 · 128 · 128 < 2^31
CHECKED_SHAPES = ((1, 70, 33), (40, 1030, 70), (7, 259, 16))  # M, K, N: rows, depths and columns left over

Bytes = NDArray[np.int8]
Floats = NDArray[np.float32]


def pays(rows: int, length: int, channels: int) -> bool:
    """Whether `byte_sums` of (rows, length) · (channels, length) are exact and faster than a product of float32.

    With oneDNN enabled, that is, as it is where `float32_is_exact`; without, torch's product of bytes is a plain loop.
    """
    return rows * length * channels >= LEAST_STEPS and length <= MAX_LENGTH and _exact()


def bytes_of(x: Floats, zero_point: int) -> Bytes | None:
    """``x + zero_point`` as int8, of x's shape, C-contiguous; None where one of them is no such code, or NaN."""
    from . import matrix_kernels

    codes = np.empty(x.shape, np.int8)
    legal = matrix_kernels.bytes_of(x.reshape(-1), np.float32(zero_point), codes.reshape(-1))
    return codes if legal else None


def byte_sums(x: Bytes, weight: Bytes, added: NDArray[np.float64]) -> Floats:
    """``Σ x · w + added``, (rows, channels), exact where float32 holds it.

    x : (rows, length); weight : (channels, length); added : (channels,), integers
    """
    from . import matrix_kernels

    products = _product(x, weight)
    sums = np.empty(products.shape, np.float32)
    matrix_kernels.add_to_columns(products, added, sums)
    return sums


def _product(x: Bytes, weight: Bytes) -> NDArray[np.int32]:
    made: NDArray[np.int32] = torch._int_mm(torch.from_numpy(x), torch.from_numpy(weight).T).numpy()
    return made


@cache
def _exact() -> bool:
    """Whether the processor has the instructions, and products of extreme and of random bytes are exact."""
    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name) for name in INSTRUCTIONS):
        return False
    generator = np.random.default_rng(0)
    for rows, length, channels in CHECKED_SHAPES:
        random = [generator.integers(-128, 128, (count, length)).astype(np.int8) for count in (rows, channels)]
        for x, weight in ((-128, -128), (-128, 127), (127, 127)):
            full = np.full((rows, length), x, np.int8), np.full((channels, length), weight, np.int8)
            for left, right in (full, (full[0], random[1]), (random[0], full[1]), random):
                if not np.array_equal(_product(left, right), left.astype(np.int64) @ right.astype(np.int64).T):
                    return False
    return True
