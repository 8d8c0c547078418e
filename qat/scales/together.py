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

    values : of all parameters, one after the other; sizes : of those that are no scalars, which come first
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, sizes: list[int], *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.values, ctx.sizes = values.clone(), sizes
        return _parts(values, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {i: g for i, g in enumerate(gradients) if g is not None and ctx.needs_input_grad[i + 2]}
        made: list[Tensor | None] = [None] * len(gradients)
        if given:
            own, sizes, scalars = ctx.values, ctx.sizes, len(gradients) - len(ctx.sizes)
            if len(given) < len(gradients):
                parts = _parts(own, sizes)
                sizes = [size for place, size in enumerate(sizes, scalars) if place in given]
                own = _joined([parts[index] for index in given], sizes)
            found = _joined(list(given.values()), sizes) * own / LOG_GAIN
            for index, gradient in zip(given, _parts(found, sizes), strict=True):
                made[index] = gradient
        return None, None, *made


def _joined(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """All values, one after the other; sizes : of the last parts, those that are no scalars."""
    count = len(parts) - len(sizes)
    rows = [torch.stack(list(parts[:count]))] if count else []
    return torch.cat([*rows, *parts[count:]]) if sizes else rows[0]


def _parts(values: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """`values` in scalars and parts of these sizes."""
    if not sizes:
        return values.unbind()
    scalars, *rows = values.split_with_sizes([values.shape[0] - sum(sizes), *sizes])
    return *scalars.unbind(), *rows


def materialized(scales: Sequence[LogScale]) -> Mapping[Scale, Tensor]:
    """{scale: what calling it gives}; empty where one of them would be refused, which calling it then says.

    scales : on one device, scalars before those with a value for each channel
    """
    if not scales:
        return {}
    parameters = [scale.log_ratio for scale in scales]
    sizes = [parameter.shape[0] for parameter in parameters if parameter.ndim]
    with torch.no_grad():
        wanted, known = _joined(parameters, sizes), _joined([scale.materialized for scale in scales], sizes)
        values = _joined([scale.value for scale in scales], sizes)
        if not torch.equal(wanted, known):
            calibrated = _joined([scale.calibrated for scale in scales], sizes)
            # A scale whose parameter did not change keeps its value: `exp` differs between processors.
            values = torch.where(wanted != known, calibrated * torch.exp(LOG_GAIN * wanted), values)
            least, most = torch.aminmax(values)
            if not 0 < least.item() <= most.item() < math.inf:  # nor of NaN
                return {}
            torch._foreach_copy_([scale.value for scale in scales], list(_parts(values, sizes)))
            torch._foreach_copy_([scale.materialized for scale in scales], list(_parts(wanted, sizes)))
    made = _Together.apply(values, sizes, *parameters)  # type: ignore[no-untyped-call]
    return dict(zip(scales, made, strict=True))
