"""How far a layer by rows may be from the real function beyond its one rounding (contract, section 15, "Error")."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from emulator.arithmetic import Arithmetic
from emulator.graph import LayerNorm, RMSNorm, Softmax, Tensor
from emulator.operators.row_operators.rows import row_multiplier_bits


def row_error(tensors: Iterable[Tensor], arithmetic: Arithmetic) -> float:
    """The most that the widths of layers by rows among `tensors` cost, in codes; 0 where there are none."""
    bits = row_multiplier_bits(arithmetic)
    worst = 0.0
    for tensor in tensors:
        if isinstance(tensor, Softmax):
            most = 255 * (tensor.shape[-1] * 2.0**-29 + 2.0**-bits + 2.0**-29)
            worst = max(worst, 2.0**-23 / tensor.scale + most)
        elif isinstance(tensor, LayerNorm | RMSNorm):
            terms = float(np.abs(tensor.parameters.beta).max()) * 2.0**-16
            worst = max(worst, (255 + terms) * (2.0**-15 + 2.0**-18 + 2.0 ** (2 - bits)) + 2.0**-15)
    return worst


def has_rows(tensors: Iterable[Tensor]) -> bool:
    """Whether one of them is a layer by rows."""
    return any(isinstance(tensor, Softmax | LayerNorm | RMSNorm) for tensor in tensors)
