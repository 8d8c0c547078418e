"""All scalar scales of a model that are learned in the log domain, materialized at once at the start of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .scale import LOG_GAIN, LogScale, Scale


class _Together(Function):
    """The scales (n,) one by one, each with the gradient to its parameter that `LogScale` gives."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.values = values
        return values.unbind()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {i: g for i, g in enumerate(gradients) if g is not None and ctx.needs_input_grad[i + 1]}
        made: list[Tensor | None] = [None] * len(gradients)
        if given:
            values = ctx.values if len(given) == len(made) else ctx.values[list(given)]
            found = torch.stack(list(given.values())) * values / LOG_GAIN
            for index, gradient in zip(given, found.unbind(), strict=True):
                made[index] = gradient
        return None, *made


def materialized(scales: Sequence[LogScale]) -> Mapping[Scale, Tensor]:
    """{scale: what calling it gives}; empty where one of them would be refused, which calling it then says.

    scales : scalars on one device
    """
    if not scales:
        return {}
    parameters = [scale.log_ratio for scale in scales]
    with torch.no_grad():
        wanted, known = torch.stack(list[Tensor](parameters)), torch.stack([scale.materialized for scale in scales])
        values = torch.stack([scale.value for scale in scales])
        moved = wanted != known
        if bool(moved.any()):
            calibrated = torch.stack([scale.calibrated for scale in scales])
            # A scale whose parameter did not change keeps its value: `exp` differs between processors.
            values = torch.where(moved, calibrated * torch.exp(LOG_GAIN * wanted), values)
            if not bool((torch.isfinite(values) & (values > 0)).all()):
                return {}
            changed = torch.nonzero(moved).flatten().tolist()
            torch._foreach_copy_([scales[index].value for index in changed], list(values[moved].unbind()))
            torch._foreach_copy_([scales[index].materialized for index in changed], list(wanted[moved].unbind()))
    made = _Together.apply(values, *parameters)  # type: ignore[no-untyped-call]
    return dict(zip(scales, made, strict=True))
