"""What an ONNX tensor name stands for while a file is read: a constant, codes, or real numbers not yet rounded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from emulator.graph import Tensor

from .onnx_tensor import Constant, decode
from .operator_node import Operator

if TYPE_CHECKING:
    from .graph_builder import GraphBuilder


@dataclass(frozen=True, eq=False)
class QuantizedConstant:
    """A constant behind a DequantizeLinear.

    codes : int16 or int64, as in the file except that unsigned types are shifted to signed ones (uint8: −128)
    scale : float32, one or one per index of `axis`; zero_point : int64, shaped as scale, shifted as the codes
    """

    codes: NDArray[np.signedinteger[Any]]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int
    type: int

    @property
    def real(self) -> NDArray[np.float32]:
        """The float32 values that DequantizeLinear gives."""
        shape = [-1 if i == self.axis else 1 for i in range(self.codes.ndim)] if self.scale.ndim else []
        scale, zero_point = self.scale.reshape(shape), self.zero_point.reshape(shape)
        return np.asarray((self.codes - zero_point).astype(np.float32) * scale)


@dataclass(frozen=True, eq=False)
class Codes:
    """An activation between its QuantizeLinear and the DequantizeLinear; type: the ONNX element type of the codes."""

    tensor: Tensor
    type: int


@dataclass(frozen=True)
class Target:
    """What a QuantizeLinear asks of the layer before it."""

    scale: float
    zero_point: int
    y_min: int
    y_max: int


class Source(ABC):
    """A computation on codes whose real result waits for the QuantizeLinear that rounds it.

    operator : the node that computes
    is_input : no computation but an input of the graph, which keeps its name
    """

    operator: Operator
    is_input: ClassVar[bool] = False

    def exact(self) -> Target | None:
        """The target at which nothing is rounded, None where there is none."""
        return None

    @abstractmethod
    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the layer that computes and rounds; returns its tensor."""


@dataclass(frozen=True, eq=False)
class Dequantized:
    """The output of a DequantizeLinear: codes that a graph tensor holds already."""

    tensor: Tensor


MoveFunction: TypeAlias = "Callable[[GraphBuilder, Tensor, str], Tensor]"


@dataclass(frozen=True, eq=False)
class Move:
    """An operator that selects or regroups codes and computes nothing: max pool, flatten, reshape, pad.

    apply : (builder, tensor, layer name) → tensor
    fills : it adds real zeros of its own
    """

    operator: Operator
    apply: MoveFunction
    fills: bool = False


@dataclass(frozen=True, eq=False)
class Real:
    """Real numbers: what `source` computes, clamped to low … high, then moved.

    A clamp and a move commute, and both commute with rounding, because rounding is monotone: so one QuantizeLinear
    behind the whole chain is one rounding right at the source. Zeros that a move adds must be their own clamps' result.

    clamps : the operators that clamped
    """

    source: Source | Dequantized
    low: float = -math.inf
    high: float = math.inf
    clamps: tuple[Operator, ...] = ()
    moves: tuple[Move, ...] = ()

    def __post_init__(self) -> None:
        filling = [move.operator for move in self.moves if move.fills]
        if filling and not self.low <= 0 <= self.high:
            raise ValueError(
                f"a clamp to {self.low} … {self.high} and the zeros of {filling[0]} need a QuantizeLinear between them"
            )

    def exact(self) -> Target | None:
        """The target at which nothing is rounded, None where there is none."""
        if self.clamps:
            return None
        if isinstance(self.source, Dequantized):
            tensor = self.source.tensor
            return Target(tensor.scale, tensor.zero_point, tensor.y_min, tensor.y_max)
        return self.source.exact()

    def clamped(self, op: Operator, low: float, high: float) -> Real:
        """min(max(this, low), high)."""
        return replace(
            self,
            low=min(max(self.low, low), high),
            high=min(max(self.high, low), high),
            clamps=(*self.clamps, op),
        )

    def moved(self, move: Move) -> Real:
        """This, with one more move behind it."""
        return replace(self, moves=(*self.moves, move))

    @property
    def last(self) -> Operator | None:
        """The operator that bears the layer's name; None directly behind a DequantizeLinear."""
        if self.moves:
            return self.moves[-1].operator
        if isinstance(self.source, Dequantized):
            return self.clamps[-1] if self.clamps else None
        return self.source.operator

    @property
    def bare(self) -> bool:
        """Whether nothing clamps or moves the source's result."""
        return not self.clamps and not self.moves


Value: TypeAlias = Constant | QuantizedConstant | Codes | Real


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
    values: dict[str, Value] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """The value of a tensor name."""
        if name not in self.values:
            if name not in self.initializers:
                raise ValueError(f"reads {name!r}, a second output, which is not supported")
            self.values[name] = decode(self.initializers[name], self.folder)
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
        return self.builder.operand(self.real(op, index))

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
            raise ValueError(f"bias {op.input(index)!r} must be a constant")
        return value

    def plain(self, op: Operator, index: int, what: str) -> Constant | None:
        """Input `index` as an unquantized constant, None where it is left out."""
        if not op.input(index):
            return None
        value = self.value(op.input(index))
        if not isinstance(value, Constant):
            raise ValueError(f"{what} {op.input(index)!r} must be a constant")
        return value

    def integers(self, op: Operator, index: int, what: str) -> tuple[int, ...] | None:
        """Input `index` as constant integers, or the attribute `what`; None where both are left out."""
        constant = self.plain(op, index, what)
        if constant is None:
            return op.integers(what)
        if constant.values.dtype == np.float32:
            raise ValueError(f"{what} must be integers, not FLOAT")
        return tuple(int(value) for value in constant.values.reshape(-1))

    def scalar(self, op: Operator, index: int) -> Any:
        """Input `index` as one Python number, dequantized if need be; None if it is not such a constant."""
        value = self.value(op.input(index))
        if isinstance(value, QuantizedConstant) and value.codes.size == 1:
            return float(value.real.reshape(()))
        return value.scalar if isinstance(value, Constant) and value.values.size == 1 else None
