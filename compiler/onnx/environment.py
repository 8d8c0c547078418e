"""`Environment`: the values known so far while an ONNX graph is read, and how operators ask for theirs."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from emulator.graph import Tensor

from ..reading.constants import Constant, QuantizedConstant
from ..reading.graph_builder import GraphBuilder
from ..reading.rounding import operand
from ..reading.values import Codes, Move, MoveFunction, Real, Value
from .operator import Operator
from .tensor import decode, type_name


@dataclass(eq=False)
class Environment:
    """The values known so far, by ONNX tensor name, and what reading more of them needs.

    folder : the model's, where external data may lie
    initializers : decoded on their first use
    batch : the batch size if the file fixes it
    """

    builder: GraphBuilder
    folder: Path
    initializers: Mapping[str, TensorProto]
    batch: int | None
    values: MutableMapping[str, Value] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """The value of a tensor name."""
        if name not in self.values:
            if name not in self.initializers:
                raise ValueError(f"reads {name!r}, a second output, which is not supported")
            self.values[name] = Constant(decode(self.initializers[name], self.folder))
        return self.values[name]

    def real(self, op: Operator, index: int) -> Real:
        """Input `index` as real numbers made of activations; ``ValueError`` for a constant or for codes."""
        value = self.value(op.input(index))
        if isinstance(value, Real):
            return value
        if isinstance(value, Codes):
            raise ValueError(f"reads the codes {op.input(index)!r}; a DequantizeLinear must stand between")
        raise ValueError(f"input {op.input(index)!r} is a constant; an activation is needed")

    def operand(self, op: Operator, index: int) -> Tensor:
        """Input `index` as a tensor of codes; ``ValueError`` unless a QuantizeLinear rounded it."""
        return operand(self.builder, self.real(op, index))

    def moved(self, op: Operator, apply: MoveFunction) -> Value:
        """Input 0 with a move behind it; codes are moved at once."""
        value = self.value(op.input(0))
        if isinstance(value, Codes):
            return Codes(apply(self.builder, value.tensor, self.builder.unique(op.label)), value.type)
        return self.real(op, 0).moved(Move(op, apply))

    def bias(self, op: Operator, index: int) -> Constant | QuantizedConstant | None:
        """Input `index` as a constant, None where it is left out."""
        if not op.input(index):
            return None
        value = self.value(op.input(index))
        if not isinstance(value, Constant | QuantizedConstant):
            raise ValueError(f"input {op.input(index)!r} must be a constant")
        return value

    def plain(self, op: Operator, index: int, what: str) -> Constant | None:
        """Input `index` as an unquantized constant, None where it is left out."""
        if not op.input(index):
            return None
        value = self.value(op.input(index))
        if not isinstance(value, Constant):
            raise ValueError(f"{what} {op.input(index)!r} must be a constant")
        return value

    def reals(self, op: Operator, index: int, what: str) -> NDArray[np.float64]:
        """Input `index` as constant real numbers, dequantized if need be; ``ValueError`` unless they are finite."""
        value = self.bias(op, index)
        if value is None:
            raise ValueError(f"{what} is missing")
        values = np.asarray(value.values if isinstance(value, Constant) else value.real, np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{what} {op.input(index)!r} must be finite")
        return values

    def integers(self, op: Operator, index: int, what: str) -> tuple[int, ...] | None:
        """Input `index` as constant integers, or the attribute `what`; None where both are left out."""
        constant = self.plain(op, index, what)
        if constant is None:
            return op.integers(what)
        if np.issubdtype(constant.values.dtype, np.inexact):
            raise ValueError(f"{what} must be integers, not {type_name(constant.values.dtype)}")
        return tuple(int(value) for value in constant.values.reshape(-1))

    def scalar(self, op: Operator, index: int) -> Any:
        """Input `index` as one Python number, dequantized if need be; None if it is not such a constant."""
        value = self.value(op.input(index))
        if isinstance(value, QuantizedConstant) and value.codes.size == 1:
            return float(value.real.reshape(()))
        return value.scalar if isinstance(value, Constant) and value.values.size == 1 else None
