"""`Expression`: a function of one tensor, put together from unary operators and constants, in three readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emulator.onnx_functions import BINARY, Function, unary_function

from .computed import Computed
from .onnx_writer import OnnxWriter


@dataclass(frozen=True, eq=False)
class Expression:
    """An ONNX operator on operands; `X`, which has no operator, is the tensor itself.

    operator : a unary or binary operator of `emulator.onnx_functions`, or Clip with its two bounds as operands 1 and 2
    operands : expressions; numbers, which count with their float32 values, as the ONNX file has them; or what computes
    one number of the model's parameters
    attributes : of a unary operator
    """

    operator: str
    operands: tuple[Expression | float | Computed, ...] = ()
    attributes: tuple[tuple[str, float | str | Computed], ...] = ()

    @property
    def is_x(self) -> bool:
        """Whether it is the tensor itself, by value: a copy of X is X."""
        return not self.operator

    def of(self, inner: Expression) -> Expression:
        """The function of a function: `inner` in the place of X."""
        if inner.is_x or self.is_x:
            return self if inner.is_x else inner
        done: dict[int, Expression] = {}

        def replaced(part: Expression | float | Computed) -> Expression | float | Computed:
            if not isinstance(part, Expression) or part.is_x:
                return inner if isinstance(part, Expression) else part
            if id(part) not in done:
                done[id(part)] = Expression(part.operator, tuple(map(replaced, part.operands)), part.attributes)
            return done[id(part)]

        return Expression(self.operator, tuple(map(replaced, self.operands)), self.attributes)

    def computed(self) -> list[Computed]:
        """All numbers that the model's parameters give."""
        own = [
            part for part in (*self.operands, *(value for _, value in self.attributes)) if isinstance(part, Computed)
        ]
        inner = [number for part in self.operands if isinstance(part, Expression) for number in part.computed()]
        return list(dict.fromkeys([*own, *inner]))

    def at(self, values: Mapping[Computed, float]) -> Expression:
        """The function with these values of the numbers that the model's parameters give; itself where it has none."""
        if not values:
            return self
        done: dict[int, Expression] = {}

        def number(part: Any) -> Any:
            return values[part] if isinstance(part, Computed) else part

        def fixed(part: Expression | float | Computed) -> Expression | float:
            if not isinstance(part, Expression) or part.is_x:
                return number(part)  # type: ignore[no-any-return]
            if id(part) not in done:
                attributes = tuple((name, number(value)) for name, value in part.attributes)
                done[id(part)] = Expression(part.operator, tuple(map(fixed, part.operands)), attributes)
            return done[id(part)]

        result = fixed(self)
        assert isinstance(result, Expression)
        return result

    def function(self) -> Function:
        """The exact reading, all numbers being known: on Python floats, as the reader of the ONNX file has it."""
        if self.is_x:
            return lambda x: x
        parts = [p.function() if isinstance(p, Expression) else _constant(p) for p in self.operands]
        first = parts[0]
        if self.operator == "Clip":
            low, high = parts[1](0.0), parts[2](0.0)
            return lambda x: min(max(first(x), low), high)
        if self.operator in BINARY:
            rule, second = BINARY[self.operator], parts[1]
            return lambda x: rule(first(x), second(x))
        outer = unary_function(self.operator, {name: _stored(value) for name, value in self.attributes})
        return lambda x: outer(first(x))

    def real(self, x: Tensor, values: Mapping[Computed, Tensor] | None = None) -> Tensor:
        """The float reading, with a gradient; values : scalars for the numbers that the model's parameters give."""
        return self._real(x, values or {}, {})

    def _real(self, x: Tensor, values: Mapping[Computed, Tensor], known: dict[int, Tensor]) -> Tensor:
        def valued(part: Any) -> Any:
            if isinstance(part, Expression):
                return part._real(x, values, known)
            return values[part] if isinstance(part, Computed) else part

        if self.is_x:
            return x
        if id(self) not in known:
            parts, attributes = map(valued, self.operands), {name: valued(value) for name, value in self.attributes}
            known[id(self)] = TORCH[self.operator](*parts, **attributes)
        return known[id(self)]

    def write(self, writer: OnnxWriter, name: str, x: str) -> str:
        """The reading in ONNX, all numbers being known: nodes of which the last one is called `name`; returns the name
        of its result.
        """
        known: dict[int, str] = {}

        def written(part: Expression) -> str:
            if part.is_x:
                return x
            if id(part) not in known:
                last = part is self
                operands = [written(p) if isinstance(p, Expression) else p for p in part.operands]
                label = name if last else f"{name}/{len(known) + 1}"
                names = [
                    o if isinstance(o, str) else writer.constant(f"{label}/constant{i}", np.float32(_number(o)))
                    for i, o in enumerate(operands)
                ]
                attributes: dict[str, Any] = dict(part.attributes)
                known[id(part)] = writer.node(part.operator, label, names, **attributes)
            return known[id(part)]

        return written(self)


X = Expression("")


def _constant(number: float | Computed) -> Function:
    value = float(np.float32(_number(number)))
    return lambda x: value


def _number(value: float | Computed) -> float:
    assert not isinstance(value, Computed)
    return value


def _stored(value: float | str | Computed) -> float | str:
    """An attribute as an ONNX file keeps it: numbers in float32."""
    return value if isinstance(value, str) else float(np.float32(_number(value)))


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
    "LeakyRelu": lambda x, alpha: torch.where(x > 0, x, alpha * x),
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
