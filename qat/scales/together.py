"""All scales of a model that are learned in the log domain, materialized at once at the start of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .scale import LOG_GAIN, LogScale, Scale


class _Together(Function):
    """The values, each with the gradient to its parameter that `LogScale` gives.

    values : of all parameters, one after the other; sizes : of each, None where all are scalars
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, sizes: list[int] | None, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.values = _parts(values.clone(), sizes)
        return _parts(values, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {i: g for i, g in enumerate(gradients) if g is not None and ctx.needs_input_grad[i + 2]}
        made: list[Tensor | None] = [None] * len(gradients)
        if given:
            sizes = None if ctx.values[0].ndim == 0 else [len(g) for g in given.values()]
            own = _joined([ctx.values[index] for index in given])
            found = _joined(list(given.values())) * own / LOG_GAIN
            for index, gradient in zip(given, _parts(found, sizes), strict=True):
                made[index] = gradient
        return None, None, *made


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)) if parts[0].ndim == 0 else torch.cat(list(parts))


def _parts(values: Tensor, sizes: list[int] | None) -> tuple[Tensor, ...]:
    return values.unbind() if sizes is None else torch.split(values, sizes)


def materialized(scales: Sequence[LogScale]) -> Mapping[Scale, Tensor]:
    """{scale: what calling it gives}; empty where one of them would be refused, which calling it then says.

    scales : on one device, all scalars or all with a value for each channel
    """
    if not scales:
        return {}
    parameters = [scale.log_ratio for scale in scales]
    sizes = None if parameters[0].ndim == 0 else [len(parameter) for parameter in parameters]
    with torch.no_grad():
        wanted, known = _joined(parameters), _joined([scale.materialized for scale in scales])
        values, moved = _joined([scale.value for scale in scales]), wanted != known
        if bool(moved.any()):
            calibrated = _joined([scale.calibrated for scale in scales])
            # A scale whose parameter did not change keeps its value: `exp` differs between processors.
            values = torch.where(moved, calibrated * torch.exp(LOG_GAIN * wanted), values)
            if not bool((torch.isfinite(values) & (values > 0)).all()):
                return {}
            torch._foreach_copy_([scale.value for scale in scales], list(_parts(values, sizes)))
            torch._foreach_copy_([scale.materialized for scale in scales], list(_parts(wanted, sizes)))
    made = _Together.apply(values, sizes, *parameters)  # type: ignore[no-untyped-call]
    return dict(zip(scales, made, strict=True))
