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

from .element_steps import Cut, ElementStep, Floats, Shaped
from .matrix.matrix_step import MatrixProduct, WeightCodes


def together(*tensors: Tensor) -> bool:
    """Whether there are steps for these operands: float32 on the CPU, of one shape, and Numba is installed."""
    shape = tensors[0].shape
    for x in tensors:
        if not x.is_cpu or x.dtype != torch.float32 or x.shape != shape:
            return False
    return tensors[0].numel() > 0 and numba_installed()


Step = ElementStep | MatrixProduct | WeightCodes


@dataclass(frozen=True)
class _Entry:
    step: Step
    operands: tuple[int, ...]  # places in `Chain.values`
    scales: tuple[int, ...]  # places in `Chain.scales`


class Chain:
    """Steps in the order in which they run, what they read from outside, and what they made.

    weights : what layers that share weights share here, {whose: (what stands for the codes, their scales, the step)}
    """

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.arrays: list[Floats] = []
        self.places: dict[int, int] = {}  # id of a tensor → its place in `arrays`
        self.given: list[tuple[int, Tensor]] = []  # what comes from outside
        self.made: list[int] = []
        self.weights: dict[object, tuple[Tensor, Tensor, WeightCodes]] = {}
        self.scales: list[Tensor] = []
        self.scale_places: dict[int, int] = {}
        self.kept: list[Tensor] = []  # whose ids must stay theirs

    def wants(self, x: Tensor) -> bool:
        """Whether an operand needs a gradient; what a step has made is taken to."""
        return x.requires_grad or id(x) in self.places

    def add(self, step: Step, operands: Sequence[Tensor], scales: Sequence[Tensor]) -> Tensor:
        """The step's result, a tensor that stands for it here until `close` gives one with a gradient."""
        places = tuple(self._place(x) for x in operands)
        result: Floats = step.forward(*(self.arrays[place] for place in places))
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

    def close(self, results: Sequence[Tensor]) -> list[Tensor]:
        """For these of the stand-ins tensors of their values, with gradients to the operands and the scales."""
        outside = [x for _, x in self.given]
        places = [self.places[id(x)] for x in results]
        made: tuple[Tensor, ...] = _Chained.apply(self, places, *outside, *self.scales)  # type: ignore[no-untyped-call]
        return list(made)


class _Chained(Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, results: list[int], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.entries, ctx.made, ctx.count, ctx.results = chain.entries, chain.made, len(chain.arrays), results
        ctx.given, ctx.scales = [place for place, _ in chain.given], len(chain.scales)
        return tuple(torch.from_numpy(chain.arrays[place]) for place in results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[NDArray[Any] | None] = [None] * ctx.count
        own = [False] * ctx.count  # whether nobody else knows the array's memory
        for place, gradient in zip(ctx.results, gradients, strict=True):
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
            fresh = own[place] or not isinstance(entry.step, Shaped)  # which gives its gradient's memory on
            for source, part in zip(entry.operands, to_operands, strict=True):
                there = found[source]
                if part is None:
                    continue
                if there is None:
                    found[source], own[source] = part, fresh
                elif own[source]:
                    there += part
                else:
                    found[source], own[source] = there + part, True
            for scale, part in zip(entry.scales, by_scales, strict=True):
                to_scales[scale] += part
            found[place] = None
        for place in ctx.given:
            gradient = found[place]
            if gradient is not None and not own[place]:
                found[place] = gradient.copy()  # autograd adds to what it is given
        outside = (found[place] for place in ctx.given)
        scales = torch.from_numpy(to_scales.astype(np.float32)).unbind()
        return None, None, *(None if part is None else torch.from_numpy(part) for part in outside), *scales
