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
    """Copies of the scales' values, each with the gradient to its parameter that `LogScale` gives."""

    @staticmethod
    def forward(ctx: Any, values: Sequence[Tensor], *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.values = torch._foreach_mul(list(values), 1.0)
        return tuple(value.view_as(value) for value in ctx.values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = {i: g for i, g in enumerate(gradients) if g is not None and ctx.needs_input_grad[i + 1]}
        made: list[Tensor | None] = [None] * len(gradients)
        if given:
            found = torch._foreach_mul(list(given.values()), [ctx.values[index] for index in given])
            torch._foreach_div_(found, LOG_GAIN)
            for index, gradient in zip(given, found, strict=True):
                made[index] = gradient
        return None, *made


def materialized(scales: Sequence[LogScale]) -> Mapping[Scale, Tensor]:
    """{scale: what calling it gives}; empty where one of them would be refused, which calling it then says.

    scales : on one device
    """
    if not scales:
        return {}
    parameters = [scale.log_ratio for scale in scales]
    with torch.no_grad():
        wanted, known = (
            torch.cat([part.view(-1) for part in parts])
            for parts in (parameters, [scale.materialized for scale in scales])
        )
        if not torch.equal(wanted, known):
            calibrated = torch.cat([scale.calibrated.view(-1) for scale in scales])
            values = calibrated * torch.exp(LOG_GAIN * wanted)
            if not bool((torch.isfinite(values) & (values > 0)).all()):
                return {}
            # A scale whose parameter did not change keeps its value: `exp` differs between processors.
            sizes = [parameter.numel() for parameter in parameters]
            moved = [part.any() for part in torch.split(wanted != known, sizes)]
            changed = [index for index, any_moved in enumerate(torch.stack(moved).tolist()) if any_moved]
            parts = torch.split(values, sizes)
            torch._foreach_copy_([scales[i].value.view(-1) for i in changed], [parts[i] for i in changed])
            torch._foreach_copy_([scales[i].materialized for i in changed], [parameters[i].detach() for i in changed])
    made = _Together.apply([scale.value for scale in scales], *parameters)  # type: ignore[no-untyped-call]
    return dict(zip(scales, made, strict=True))
