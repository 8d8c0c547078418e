"""Constants that are operands of a layer: codes in memory, the same for every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import ConstantTensor, Tensor, logical_shape, stored_shape
from emulator.operators.quantize import quantize

from ..constants import QuantizedConstant
from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..values import Source, Target


def constant_tensor(builder: GraphBuilder, value: QuantizedConstant, like: Tensor, name: str) -> Tensor:
    """A layer of constant codes that broadcasts with `like`: of its rank, or with the batch's axis of size 1 in front.

    Raises ``ValueError`` for a shape that does not broadcast, for several scales, and for codes beyond those of the
    arithmetic.
    """
    shape = logical_shape(like.shape)
    rank = len(shape)
    found = (1,) * (rank - value.codes.ndim) + value.codes.shape
    if value.scale.ndim:
        raise ValueError("a constant operand must have one scale, not one per channel")
    fits = len(found) == rank or (len(found) == rank + 1 and found[0] == 1)
    found = found[-rank:]
    if not fits or any(n != m and 1 not in (n, m) for n, m in zip(found, shape, strict=True)):
        raise ValueError(
            f"a constant operand must broadcast with {shape} (without the batch), not have {value.codes.shape}"
        )
    codes = np.moveaxis(value.codes.reshape(found), 0, -1)
    low, high = builder.arithmetic.activation_range
    if codes.min() < low or codes.max() > high:
        raise ValueError(f"a constant operand must have codes from {low} to {high}, not {codes.min()} to {codes.max()}")
    return builder.add(
        ConstantTensor(
            name=builder.unique(name),
            shape=stored_shape(found),
            scale=float(value.scale),
            zero_point=int(value.zero_point),
            y_min=int(codes.min()),
            y_max=int(codes.max()),
            inputs=(),
            codes=np.ascontiguousarray(codes.astype(np.int8)),
        )
    )


@dataclass(frozen=True, eq=False)
class ConstantSource(Source):
    """Constant real numbers as an operand, of `rank` axes behind the batch's; float32."""

    operator: Origin
    values: NDArray[Any]
    rank: int

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `ConstantTensor` of the rounded numbers."""
        values = self.values
        if values.ndim == self.rank + 1 and values.shape[0] == 1:
            values = values[0]
        if values.ndim != self.rank:
            raise ValueError(
                f"a constant operand must have {self.rank} axes behind the batch's, not {self.values.shape}"
            )
        codes = quantize(values, target.scale, target.zero_point, target.y_min, target.y_max)
        shape = stored_shape(values.shape)
        return builder.add(
            ConstantTensor(
                name=name, shape=shape, **vars(target), inputs=(), codes=np.ascontiguousarray(np.moveaxis(codes, 0, -1))
            )
        )
