"""`Chain`: steps that are computed at once and recorded, and one node of autograd's graph for all of them.

A node of its own costs some tens of microseconds for each step, as much as a step of a recurrent network itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from emulator.operators.products.walk import numba_installed

from .element_steps import Cut, ElementStep, Floats
from .requantize import EXACT_FLOAT64


def together(*tensors: Tensor) -> bool:
    """Whether there are steps for these operands: float32 on the CPU, of one shape, and Numba is installed."""
    shape = tensors[0].shape
    for x in tensors:
        if not x.is_cpu or x.dtype != torch.float32 or x.shape != shape:
            return False
    return tensors[0].numel() > 0 and numba_installed()


def exact(multiplier: int, bound: int) -> bool:
    """Whether float64 holds the products of the multiplier with integers up to `bound`."""
    return bound * multiplier < EXACT_FLOAT64


@dataclass(frozen=True)
class _Entry:
    step: ElementStep
    operands: tuple[int, ...]  # places in `Chain.values`
    scales: tuple[int, ...]  # places in `Chain.scales`


class Chain:
    """Steps in the order in which they run, what they read from outside, and what they made."""

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.arrays: list[Floats] = []
        self.places: dict[int, int] = {}  # id of a tensor → its place in `arrays`
        self.given: list[tuple[int, Tensor]] = []  # what comes from outside
        self.made: list[int] = []
        self.scales: list[Tensor] = []
        self.scale_places: dict[int, int] = {}
        self.kept: list[Tensor] = []  # whose ids must stay theirs

    def add(self, step: ElementStep, operands: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """The step's result, a tensor that stands for it here until `close` gives one with a gradient."""
        places = tuple(self._place(x) for x in operands)
        result = step.forward(*(self.arrays[place] for place in places))
        self.entries.append(_Entry(step, places, tuple(self._scale(scale) for scale in scales)))
        tensor = torch.from_numpy(result)
        self.kept.append(tensor)
        self.places[id(tensor)] = len(self.arrays)
        self.made.append(len(self.arrays))
        self.arrays.append(result)
        return tensor

    def _place(self, x: Tensor) -> int:
        if id(x) not in self.places:
            self.places[id(x)] = len(self.arrays)
            self.given.append((len(self.arrays), x))
            self.arrays.append(np.ascontiguousarray(x.detach().numpy()))
        return self.places[id(x)]

    def _scale(self, scale: Tensor) -> int:
        if id(scale) not in self.scale_places:
            self.scale_places[id(scale)] = len(self.scales)
            self.scales.append(scale)
        return self.scale_places[id(scale)]

    def close(self) -> list[Tensor]:
        """What the steps made, in their order, with gradients to the operands and the scales."""
        outside = [x for _, x in self.given]
        result: tuple[Tensor, ...] = _Chained.apply(self, *outside, *self.scales)  # type: ignore[no-untyped-call]
        return list(result)


class _Chained(Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.entries, ctx.made, ctx.count = chain.entries, chain.made, len(chain.arrays)
        ctx.given, ctx.scales = [place for place, _ in chain.given], len(chain.scales)
        ctx.shapes = [array.shape for array in chain.arrays]
        return tuple(torch.from_numpy(chain.arrays[place]) for place in chain.made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[NDArray[Any] | None] = [None] * ctx.count
        own = [False] * ctx.count  # whether the array is ours to add to
        for place, gradient in zip(ctx.made, gradients, strict=True):
            found[place] = None if gradient is None else np.ascontiguousarray(gradient.detach().numpy())
        to_scales = np.zeros(ctx.scales)
        for entry, place in zip(reversed(ctx.entries), reversed(ctx.made), strict=True):
            gradient = found[place]
            if gradient is None:
                continue
            if isinstance(entry.step, Cut):
                (source,) = entry.operands
                there = found[source]
                if there is None or not own[source]:
                    there = np.zeros(entry.step.shape, np.float32) if there is None else there.copy()
                    found[source], own[source] = there, True
                there[entry.step.index] += gradient
                continue
            to_operands, by_scales = entry.step.backward(gradient)
            for source, part in zip(entry.operands, to_operands, strict=True):
                there = found[source]
                if there is None:
                    found[source] = part
                elif own[source]:
                    there += part
                else:
                    found[source], own[source] = there + part, True
            for scale, part in zip(entry.scales, by_scales, strict=True):
                to_scales[scale] += part
            found[place] = None
        outside = (found[place] for place in ctx.given)
        scales = torch.from_numpy(to_scales.astype(np.float32)).unbind()
        return None, *(None if part is None else torch.from_numpy(part) for part in outside), *scales
