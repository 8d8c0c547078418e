"""A convolution's codes in one pass over blocks that stay in a processor's cache: sums, then requantization.

Where no sum can leave the accumulator's range, a product of bytes makes the sums; a depthwise convolution is walked
with its channels side by side. Anything else takes the operators one after the other, whose bits are the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from ..checks import check_broadcast
from .convolution_operands import ConvolutionOperands
from .convolve import convolution_sums
from .depthwise import Depthwise
from .products.byte_product import MAX_STEPS, ByteProduct, byte_product, flipped, transposed
from .products.exact_product import safe_columns
from .requantization.channel_requantizer import ChannelRequantizer, Integers, check_requantization
from .requantization.requantize import requantize_checked
from .shared.threads import in_parallel, processors

Codes = NDArray[np.int8]

BLOCK_BYTES = 1 << 20  # of gathered codes, their sums and codes at a time
LEAST_BYTES = 1 << 18  # of them that are worth a block of their own


def convolution_codes(
    operands: ConvolutionOperands,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """`requantize` of a convolution's sums: (B, OH, OW, O) int8; raises as it does.

    multiplier, shift : numbers or (O,) integers; zero_point, y_min ≤ y_max : codes of activation_bits
    """
    parameters = check_requantization(multiplier, shift, zero_point, y_min, y_max, arithmetic)
    check_broadcast(operands.shape, multiplier=parameters.multiplier, shift=parameters.shift)
    compiled = parameters.pays_compiled(operands.shape)
    if compiled:
        codes = np.empty((math.prod(operands.shape[:3]), operands.shape[3]), np.int8)
        requantizer = ChannelRequantizer(parameters, codes.shape[1], arithmetic)
        if operands.depthwise:
            _depthwise(operands, requantizer, codes, arithmetic)
            return codes.reshape(operands.shape)
        product = _product(operands)
        matrix = None if product is None else transposed(operands.weight.reshape(len(operands.weight), -1))
        if product is not None and matrix is not None and _fits(operands, matrix, arithmetic):
            _products(operands, product, matrix, requantizer, codes)
            return codes.reshape(operands.shape)
    return requantize_checked(convolution_sums(operands, arithmetic)[0], parameters, arithmetic, compiled)


def _product(operands: ConvolutionOperands) -> ByteProduct | None:
    """The product of bytes that can make these sums, if one pays."""
    depth = math.prod(operands.weight.shape[1:])
    if operands.groups > 1 or depth > MAX_STEPS or operands.w_zero.any():
        return None
    return byte_product(math.prod(operands.shape) * depth)


def _fits(operands: ConvolutionOperands, matrix: NDArray[np.int8], arithmetic: Arithmetic) -> bool:
    """Whether no partial sum of any channel can leave the accumulator, or 32 bits."""
    low, high = arithmetic.accumulator_range
    limits = max(low, -(1 << 31)), min(high, (1 << 31) - 1)
    return bool(safe_columns(operands.x, matrix, operands.bias, operands.zero, operands.w_zero, limits).all())


def _products(
    operands: ConvolutionOperands,
    product: ByteProduct,
    matrix: NDArray[np.int8],
    requantizer: ChannelRequantizer,
    codes: Codes,
) -> None:
    """`codes` (positions, O) by products of gathered codes with `matrix` (K, O)."""
    depth, channels = matrix.shape
    constant: Integers = operands.bias - (operands.zero + 128) * product.column_sums(matrix)
    view = operands.windows.view(flipped(operands.x), operands.zero + 128)
    each = depth + 5 * channels  # bytes of a position: gathered codes, sums and codes
    limit = min(BLOCK_BYTES, max(LEAST_BYTES, -(-each * len(codes) // processors())))
    blocks = [*operands.windows.blocks(len(operands.x), each, limit)]

    def block(part: tuple[slice, tuple[slice, ...]]) -> None:
        rows, positions = part
        requantizer(product(view[positions].reshape(-1, depth), matrix), constant, codes[rows])

    in_parallel(block, blocks)


def _depthwise(
    operands: ConvolutionOperands, requantizer: ChannelRequantizer, codes: Codes, arithmetic: Arithmetic
) -> None:
    """`codes` (positions, O) by the depthwise walk."""
    walk = Depthwise(operands, arithmetic)
    sums, constant = walk.block(), np.zeros(codes.shape[1], np.int64)

    def block(rows: slice) -> None:
        requantizer(sums(rows)[0], constant, codes[rows])

    in_parallel(block, walk.blocks())
