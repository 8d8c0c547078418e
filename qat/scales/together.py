"""All scales of a model that are learned in the log domain, materialized at once at the start of a pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .scale import LOG_GAIN, LogScale, Scale


class _Together(Function):
    """The values, each with the gradient to its parameter that `LogScale` gives.

    values : of all parameters, one after the other
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.values, ctx.parameters = values.clone(), parameters
        return _parts(values, parameters)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {i: g for i, g in enumerate(gradients) if g is not None and ctx.needs_input_grad[i + 1]}
        made: list[Tensor | None] = [None] * len(gradients)
        if given:
            own = ctx.values
            if len(given) < len(gradients):
                parts = _parts(own, ctx.parameters)
                own = _joined([parts[index] for index in given])
            found = _joined(list(given.values())) * own / LOG_GAIN
            for index, gradient in zip(given, _parts(found, list(given.values())), strict=True):
                made[index] = gradient
        return None, *made


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """All values, one after the other; scalars come before what has an axis."""
    count = _scalars(parts)
    rows = [torch.stack(list(parts[:count]))] if count else []
    return torch.cat([*rows, *parts[count:]]) if count < len(parts) else rows[0]


def _parts(values: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`values` in parts of the shapes of `like`."""
    count = _scalars(like)
    if count == len(like):
        return values.unbind()
    return *values[:count].unbind(), *torch.split(values[count:], [x.shape[0] for x in like[count:]])


def _scalars(parts: Sequence[Tensor]) -> int:
    return sum(x.ndim == 0 for x in parts)


def materialized(scales: Sequence[LogScale]) -> Mapping[Scale, Tensor]:
    """{scale: what calling it gives}; empty where one of them would be refused, which calling it then says.

    scales : on one device, scalars before those with a value for each channel
    """
    if not scales:
        return {}
    parameters = [scale.log_ratio for scale in scales]
    with torch.no_grad():
        wanted, known = _joined(parameters), _joined([scale.materialized for scale in scales])
        values = _joined([scale.value for scale in scales])
        if not torch.equal(wanted, known):
            calibrated = _joined([scale.calibrated for scale in scales])
            # A scale whose parameter did not change keeps its value: `exp` differs between processors.
            values = torch.where(wanted != known, calibrated * torch.exp(LOG_GAIN * wanted), values)
            least, most = torch.aminmax(values)
            if not 0 < least.item() <= most.item() < math.inf:  # nor of NaN
                return {}
            torch._foreach_copy_([scale.value for scale in scales], list(_parts(values, parameters)))
            torch._foreach_copy_([scale.materialized for scale in scales], list(_parts(wanted, parameters)))
    made = _Together.apply(values, *parameters)  # type: ignore[no-untyped-call]
    return dict(zip(scales, made, strict=True))
