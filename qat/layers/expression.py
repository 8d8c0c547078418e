"""`Expression`: a function of one tensor, put together from unary operators and constants, in three readings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emulator.onnx_functions import BINARY, Function, unary_function

from .onnx_writer import OnnxWriter


@dataclass(frozen=True, eq=False)
class Expression:
    """An ONNX operator on operands; `X`, which has no operator, is the tensor itself.

    operator : a unary or binary operator of `emulator.onnx_functions`, or Clip with its two bounds as operands 1 and 2
    operands : expressions, or numbers, which count with their float32 values, as the ONNX file has them
    attributes : of a unary operator
    """

    operator: str
    operands: tuple[Expression | float, ...] = ()
    attributes: tuple[tuple[str, float | str], ...] = ()

    @property
    def is_x(self) -> bool:
        """Whether it is the tensor itself, by value: a copy of X is X."""
        return not self.operator

    def of(self, inner: Expression) -> Expression:
        """The function of a function: `inner` in the place of X."""
        if inner.is_x or self.is_x:
            return self if inner.is_x else inner
        done: dict[int, Expression] = {}

        def replaced(part: Expression | float) -> Expression | float:
            if not isinstance(part, Expression) or part.is_x:
                return inner if isinstance(part, Expression) else part
            if id(part) not in done:
                done[id(part)] = Expression(part.operator, tuple(map(replaced, part.operands)), part.attributes)
            return done[id(part)]

        return Expression(self.operator, tuple(map(replaced, self.operands)), self.attributes)

    def function(self) -> Function:
        """The exact reading: on Python floats, as the reader of the ONNX file puts it together."""
        if self.is_x:
            return lambda x: x
        parts = [_constant(p) if isinstance(p, (int, float)) else p.function() for p in self.operands]
        first = parts[0]
        if self.operator == "Clip":
            low, high = parts[1](0.0), parts[2](0.0)
            return lambda x: min(max(first(x), low), high)
        if self.operator in BINARY:
            rule, second = BINARY[self.operator], parts[1]
            return lambda x: rule(first(x), second(x))
        outer = unary_function(self.operator, {name: _stored(value) for name, value in self.attributes})
        return lambda x: outer(first(x))

    def real(self, x: Tensor) -> Tensor:
        """The float reading, with a gradient."""
        return self._real(x, {})

    def _real(self, x: Tensor, known: dict[int, Tensor]) -> Tensor:
        if self.is_x:
            return x
        if id(self) not in known:
            parts = [part._real(x, known) if isinstance(part, Expression) else part for part in self.operands]
            known[id(self)] = TORCH[self.operator](*parts, **dict(self.attributes))
        return known[id(self)]

    def write(self, writer: OnnxWriter, name: str, x: str) -> str:
        """The reading in ONNX: nodes of which the last one is called `name`; returns the name of its result."""
        known: dict[int, str] = {}

        def written(part: Expression) -> str:
            if part.is_x:
                return x
            if id(part) not in known:
                last = part is self
                operands = [written(p) if isinstance(p, Expression) else p for p in part.operands]
                label = name if last else f"{name}/{len(known) + 1}"
                names = [
                    o if isinstance(o, str) else writer.constant(f"{label}/constant{i}", np.float32(o))
                    for i, o in enumerate(operands)
                ]
                attributes: dict[str, Any] = dict(part.attributes)
                known[id(part)] = writer.node(part.operator, label, names, **attributes)
            return known[id(part)]

        return written(self)


X = Expression("")


def _constant(number: float) -> Function:
    value = float(np.float32(number))
    return lambda x: value


def _stored(value: float | str) -> float | str:
    """An attribute as an ONNX file keeps it: numbers in float32."""
    return value if isinstance(value, str) else float(np.float32(value))


TORCH: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": lambda a, b: a + b,
    "Atan": torch.atan,
    "Ceil": torch.ceil,
    "Celu": lambda x, alpha: F.celu(x, alpha),
    "Clip": lambda x, low, high: x.clamp(low, high),
    "Cos": torch.cos,
    "Div": lambda a, b: a / b,
    "Elu": lambda x, alpha: F.elu(x, alpha),
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Gelu": lambda x, approximate: F.gelu(x, approximate=approximate),
    "HardSigmoid": lambda x, alpha, beta: (x * alpha + beta).clamp(0, 1),
    "HardSwish": F.hardswish,
    "LeakyRelu": lambda x, alpha: F.leaky_relu(x, alpha),
    "Log": torch.log,
    "Mish": F.mish,
    "Mul": lambda a, b: a * b,
    "Neg": torch.neg,
    "Reciprocal": torch.reciprocal,
    "Selu": F.selu,
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Softplus": F.softplus,
    "Sqrt": torch.sqrt,
    "Sub": lambda a, b: a - b,
    "Tanh": torch.tanh,
}
