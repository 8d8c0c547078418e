"""`Environment`: the values known so far while an ONNX graph is read, and how operators ask for theirs."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from emulator.graph import Tensor, stored_shape

from ..reading.constants import Constant, QuantizedConstant
from ..reading.graph_builder import GraphBuilder
from ..reading.graph_input import InputSource, graph_input
from ..reading.origin import Origin
from ..reading.rounding import operand
from ..reading.values import Codes, Dequantized, Move, MoveFunction, Real, Target, Value
from .operator import Operator
from .tensor import decode, type_name
from .values import AnyValue, BatchConstant, Hosted, Refused


class Host(Protocol):
    """What the host computes in front of the accelerator."""

    def tensor(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Element type and logical shape without the batch of a tensor; ``ValueError`` where it is no legal input."""


@dataclass(eq=False)
class Environment:
    """The values known so far, by ONNX tensor name, and what reading more of them needs.

    folder : the model's, where external data may lie
    initializers : decoded on their first use
    batch : the batch size if the file fixes it
    opset : version of the default operator set
    readers : tensor name → the operators that read it; graph outputs have none
    host : what the host computes in front of the accelerator
    folded : one number, the bytes that operators made of constants, beyond those that they read
    wide_head : it may take over the first quantizers, where what stands behind them is no layer
    """

    builder: GraphBuilder
    folder: Path
    initializers: Mapping[str, TensorProto]
    batch: int | None
    opset: int
    readers: Mapping[str, Sequence[Operator]]
    host: Host
    wide_head: bool = False
    folded: list[int] = field(default_factory=lambda: [0])
    values: MutableMapping[str, AnyValue] = field(default_factory=dict)

    def any_value(self, name: str) -> AnyValue:
        """The value of a tensor name."""
        if name not in self.values:
            if name not in self.initializers:
                raise ValueError(f"reads {name!r}, a second output, which is not supported")
            self.values[name] = Constant(decode(self.initializers[name], self.folder))
        return self.values[name]

    def value(self, name: str) -> Value:
        """The value of a tensor name, for what the accelerator computes."""
        value = self.any_value(name)
        if isinstance(value, BatchConstant):
            raise ValueError(f"{name!r} depends on the size of the batch; export the model with a fixed batch size")
        if isinstance(value, Hosted) and value.target is not None:
            return self.rounded_by_host(name, value.target)
        if isinstance(value, Hosted):
            if value.instead is not None:
                raise ValueError(f"reads {name!r}, which is the host's: {value.instead.reason}")
            raise ValueError(f"reads {name!r}, which no QuantizeLinear rounded; one must stand between")
        if isinstance(value, Refused):
            raise ValueError(f"reads {name!r} of {value.root}, which is refused")
        if isinstance(value, Codes) and value.channel_scale is not None:
            raise ValueError(f"the codes {name!r} have one scale per channel, so only a DequantizeLinear can read them")
        return value

    def input_from_host(self, name: str) -> Real:
        """A float tensor that the host makes, as an input of the accelerator to be quantized."""
        kind, shape = self.host.tensor(name)
        if kind not in (np.float32, np.float16):
            raise ValueError(f"{name!r} must be FLOAT to be quantized, not {type_name(kind)}")
        self.builder.reserve(name)
        return Real(InputSource(Origin(name, "tensor", (name,)), stored_shape(shape)))

    def rounded_by_host(self, name: str, target: Target) -> Real:
        """A float tensor that the host makes of codes, as an input of the accelerator."""
        shape = self.host.tensor(name)[1]
        return Real(Dequantized(graph_input(self.builder, name, stored_shape(shape), target)))

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
        axes = constant.values.ndim
        if axes != 1 and not (axes == 0 and op.type == "Unsqueeze"):  # which ONNX gives a scalar too
            raise ValueError(f"{what} must have one axis, not {axes}")
        return tuple(int(value) for value in constant.values.reshape(-1))

    def sizes(self, op: Operator, index: int, what: str) -> tuple[int | None, ...] | None:
        """As `integers`, where an entry may be the size of the batch, which is None here."""
        value = self.any_value(op.input(index)) if op.input(index) else None
        if not isinstance(value, BatchConstant):
            return self.integers(op, index, what)
        entries = []
        for column in zip(*(array.reshape(-1).tolist() for array in value.arrays.values()), strict=True):
            if column != tuple(value.arrays) and len(set(column)) > 1:
                raise ValueError(f"{what} may have the size of the batch as an entry, but not compute with it")
            entries.append(None if len(set(column)) > 1 else int(column[0]))
        return tuple(entries)

    def scalar(self, op: Operator, index: int) -> Any:
        """Input `index` as one Python number, dequantized if need be; None if it is not such a constant."""
        value = self.value(op.input(index))
        if isinstance(value, QuantizedConstant) and value.codes.size == 1:
            return float(value.real.reshape(()))
        return value.scalar if isinstance(value, Constant) and value.values.size == 1 else None
