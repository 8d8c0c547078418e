"""What a tensor of an ONNX file can be besides a constant, codes or real numbers made of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ..reading.values import Target, Value
from .operator import Operator


@dataclass(frozen=True, eq=False)
class BatchConstant:
    """What only constants and the sizes of tensors make: a constant but for the batch, on which it depends.

    arrays : batch size → the values, for some batch sizes; no two of them are alike
    """

    arrays: dict[int, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Refused:
    """What an operator makes that is no layer, or reads what such a one makes.

    root : the operator that is no layer
    reason : why; `foreign` : the accelerator has no such operator at all
    hostable : the host can compute it in float
    """

    root: Operator
    reason: str
    foreign: bool
    hostable: bool


@dataclass(frozen=True, eq=False)
class Hosted:
    """What only the model's own inputs and constants make, in front of any layer: the host computes it.

    quantized : a QuantizeLinear of the host made it
    target : how a quantizer of the host has rounded it, which other quantizers and moves leave as it is
    selected : of quantized constants, as an embedding is; a layer only together with other layers
    instead : why it is no layer
    """

    name: str
    quantized: bool = False
    selected: bool = False
    target: Target | None = None
    instead: Refused | None = None


AnyValue: TypeAlias = Value | BatchConstant | Hosted | Refused
