"""What a tensor of a file stands for while it is read: a constant, codes, or real numbers not yet rounded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

from .constants import Constant, QuantizedConstant
from .graph_builder import GraphBuilder
from .origin import Origin


@dataclass(frozen=True, eq=False)
class Codes:
    """An activation's codes between quantization and dequantization.

    type : their element type in the file
    channel_scale : float32 (channels,), where the channels have scales of their own
    """

    tensor: Tensor
    type: np.dtype[Any]
    channel_scale: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Target:
    """What a quantizer asks of the layer before it."""

    scale: float
    zero_point: int
    y_min: int
    y_max: int


class Source(ABC):
    """A computation on codes whose real result waits for the quantizer that rounds it.

    operator : what computes
    is_input : no computation but an input of the graph, which keeps its name
    """

    operator: Origin
    is_input: ClassVar[bool] = False

    def exact(self) -> Target | None:
        """The target at which nothing is rounded, None where there is none."""
        return None

    @abstractmethod
    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the layer that computes and rounds; returns its tensor."""


@dataclass(frozen=True, eq=False)
class Dequantized:
    """Dequantized codes that a graph tensor holds already."""

    tensor: Tensor


MoveFunction: TypeAlias = Callable[[GraphBuilder, Tensor, str], Tensor]


@dataclass(frozen=True, eq=False)
class Move:
    """An operator that selects or regroups codes and computes nothing: max pool, flatten, reshape, pad.

    apply : (builder, tensor, layer name) → tensor
    fill : the real number that it adds, None if it adds none
    rows : it regroups the rows of a product, each of which stays as it is
    """

    operator: Origin
    apply: MoveFunction
    fill: float | None = None
    rows: bool = False


@dataclass(frozen=True, eq=False)
class Real:
    """Real numbers: what `source` computes, clamped to low … high, then moved.

    A clamp and a move commute, and both commute with rounding, because rounding is monotone: so one quantizer
    behind the whole chain is one rounding right at the source. Numbers that a move adds must be what
    their own clamps make of them.

    clamps : the operators that clamped
    """

    source: Source | Dequantized
    low: float = -math.inf
    high: float = math.inf
    clamps: tuple[Origin, ...] = ()
    moves: tuple[Move, ...] = ()

    def __post_init__(self) -> None:
        for move in self.moves:
            if move.fill is not None and not self.low <= move.fill <= self.high:
                raise ValueError(
                    f"a clamp to {self.low} … {self.high} and the {move.fill:g} of {move.operator} need a "
                    "QuantizeLinear between them"
                )

    def exact(self) -> Target | None:
        """The target at which nothing is rounded, None where there is none."""
        if self.clamps:
            return None
        if isinstance(self.source, Dequantized):
            tensor = self.source.tensor
            return Target(tensor.scale, tensor.zero_point, tensor.y_min, tensor.y_max)
        return self.source.exact()

    def clamped(self, op: Origin, low: float, high: float) -> Real:
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
    def last(self) -> Origin | None:
        """The operator that bears the layer's name; None for dequantized codes themselves."""
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
