"""Layers by rows: softmax, layer norm and RMS norm over the last stored axis (contract, section 15)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..operators.row_operators import NormalizationParameters, SoftmaxParameters
from ..operators.row_operators.masks import check_mask_shape
from ..operators.row_operators.normalize import layer_norm_with_clips, rms_norm_with_clips
from ..operators.row_operators.softmax import softmax_with_clips
from .nodes import Codes, Node, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Softmax(Node):
    """Softmax of every row of 1 to 4096 codes.

    mask : integers, 1 where an element counts and 0 where its probability is 0, of a shape that broadcasts to the
        layer's own, (…, rows, length), and so the same for every sample; None: all count
    """

    parameters: SoftmaxParameters
    mask: NDArray[np.int8] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerNorm(Node):
    """γ · (v − mean) / √(var + ε) + β of every row; `parameters` hold γ, β and ε for rows of 1 to 4096 codes."""

    parameters: NormalizationParameters


@dataclass(frozen=True, eq=False, kw_only=True)
class RMSNorm(Node):
    """γ · v / √(mean of v² + ε) + β of every row; `parameters` as in `LayerNorm`."""

    parameters: NormalizationParameters


RowNode = Softmax | LayerNorm | RMSNorm


def row_codes(node: RowNode, x: Codes, source: Tensor, arithmetic: Arithmetic) -> tuple[Codes, NDArray[np.bool_]]:
    """The codes of a layer by rows, and where they clipped; x : (batch, …, N) codes of `source`.

    Raises ``TypeError`` or ``ValueError`` naming the field or the size.
    """
    own = node.zero_point, node.y_min, node.y_max
    made = node.parameters.zero_point, node.parameters.y_min, node.parameters.y_max
    if own != made:
        raise ValueError(f"zero_point, y_min and y_max must be those of its parameters, {made}, not {own}")
    if isinstance(node, Softmax):
        if node.mask is not None:
            check_mask_shape(np.shape(node.mask), x.shape[1:])
        return softmax_with_clips(x, node.parameters, arithmetic, node.mask)
    if node.parameters.x_zero_point != source.zero_point:
        raise ValueError(
            f"x_zero_point must be {source.zero_point}, the zero point of its input {source.name!r}, "
            f"not {node.parameters.x_zero_point}"
        )
    normalize = layer_norm_with_clips if isinstance(node, LayerNorm) else rms_norm_with_clips
    return normalize(x, node.parameters, arithmetic)
