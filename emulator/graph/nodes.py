"""The tensors of a graph and its layers, one class for each operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Tensor:
    """A named tensor of codes.

    name : unique in the graph
    shape : without the batch axis; (height, width, channels), (length, channels) or (length,), and any between a
        `Reshape` that takes axes apart and the one that puts them together
    scale : positive float32 value
    zero_point : code of the real number 0
    y_min, y_max : the legal codes
    channels_last : the model file's layout is the stored one, with the batch axis in front
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    y_min: int = -128
    y_max: int = 127
    channels_last: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(Tensor):
    """One layer: an operation and the tensor that it makes, which bears the layer's name.

    inputs : names of the tensors it reads (graph inputs or earlier nodes)
    """

    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Node):
    """Convolution of a map or a sequence, and requantization.

    weight : (O, kernel height, kernel width, I/groups); kernel height 1 for a sequence
    bias, multiplier, shift : (O,)
    weight_zero_point : (O,) codes of weight_bits; None: all 0
    raw : the sums themselves come out, int64 of accumulator_bits, and nothing is requantized
    padding : top, left, bottom, right
    """

    weight: Codes
    bias: Integers
    multiplier: Integers
    shift: Integers
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_zero_point: Integers | None = None
    raw: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Node):
    """Matrix product and requantization; weight (K, N), its rows in the stored (NHWC) order of the input.

    weight_zero_point, raw : as in `Convolution`
    """

    weight: Codes
    bias: Integers
    multiplier: Integers
    shift: Integers
    weight_zero_point: Integers | None = None
    raw: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class MatrixProduct(Node):
    """Product of two activations, head by head, and requantization; (…, M, N), the axes in front of M being heads.

    Its inputs are (…, M, K) and (…, K, N), whose codes are the weights. Where their numbers of heads differ, one
    divides the other, and each head of the input that has fewer meets so many neighbouring ones of the other.

    depth : K
    a_transposed, b_transposed : the first input is (…, K, M), the second one (…, N, K)
    """

    depth: int
    multiplier: int
    shift: int
    a_transposed: bool = False
    b_transposed: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Node):
    """Residual add, or with `subtract` the difference a − b: two multipliers, one shared shift, one rounding.

    Where one input has size 1 along an axis, it counts for every index of the other one.
    """

    a_multiplier: int
    b_multiplier: int
    shift: int
    subtract: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class RescaledAdd(Node):
    """Residual add or difference of an `Arithmetic` whose adder is ``rescaled``: each operand and the sum are rounded.

    Axes of size 1 broadcast, as in `Add`.
    """

    a_multiplier: int
    a_shift: int
    b_multiplier: int
    b_shift: int
    multiplier: int
    shift: int
    subtract: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Product(Node):
    """Elementwise product and requantization; axes of size 1 broadcast, as in `Add`."""

    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Node):
    """Maximum code of each window; padding never wins; scale and zero point are the input's."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Node):
    """Exact window sum, then requantization with a multiplier per output position: arrays (out height, out width).

    A sequence's have an out height of 1.

    raw : the mean of the raw codes, half away from zero (contract, section 11): no zero point is subtracted or added,
        scale and zero point are the input's, and multiplier and shift are `raw_average_multipliers`, with which a
        requantizer makes this mean
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    multiplier: Integers
    shift: Integers
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    raw: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class LookupTable(Node):
    """``table[x]``; table: 2^activation_bits codes, entry 0 for the smallest code."""

    table: Codes


@dataclass(frozen=True, eq=False, kw_only=True)
class Rescale(Node):
    """The same real values under another scale and zero point: requantization of x − zx."""

    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Node):
    """Codes in another order; axes as for `emulator.transpose`, over the stored (NHWC) axes."""

    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Node):
    """Tensors of one scale and zero point, one after the other along a stored axis; `Rescale` brings them there."""

    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Slice(Node):
    """Elements start, start + step, … below `stop` along a stored axis."""

    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Pad(Node):
    """A map with rows and columns of real 0 (the zero point) around it: top, left, bottom, right; 0, left, 0, right for
    a sequence.
    """

    padding: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Node):
    """Codes regrouped without moving in memory (Flatten of an NHWC map, for one)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ConstantTensor(Node):
    """Codes that the model file holds, the same for every sample; it reads nothing.

    codes : of the node's own shape
    """

    codes: Codes
