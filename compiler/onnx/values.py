"""What a tensor of an ONNX file can be besides a constant, codes or real numbers made of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ..reading.values import Value
from .operator import Operator


@dataclass(frozen=True, eq=False)
class BatchConstant:
    """What only constants and the sizes of tensors make: a constant but for the batch, on which it depends.

    arrays : batch size → the values, for some batch sizes; no two of them are alike
    """

    arrays: dict[int, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Hosted:
    """What only the model's own inputs and constants make, in front of any quantizer: the host computes it."""

    name: str


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


AnyValue: TypeAlias = Value | BatchConstant | Hosted | Refused
