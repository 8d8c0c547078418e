"""`Computed`: a tensor that a model's code makes of its parameters, buffers and constants alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from .masks import masked


class Computed(nn.Module):
    """The value follows the parameters while they are trained, and hands their gradients on.

    program : (the module that has the float model's parameters) → the tensor
    names : of the parameters and buffers that it reads
    """

    def __init__(self, program: fx.GraphModule, names: Sequence[str]) -> None:
        super().__init__()
        self.program = program
        self.names = tuple(names)

    def forward(self, owner: nn.Module) -> Tensor:
        """float32, of a shape that is always the same."""
        value: Tensor = self.program(owner)
        return value


def value_of(owner: nn.Module, tensor: str | Computed) -> Tensor:
    """A tensor by the name of a parameter, whose mask is applied, or of a buffer; or as it is computed."""
    return masked(owner, tensor) if isinstance(tensor, str) else tensor(owner)


def fixed(tensor: Tensor) -> Computed:
    """A constant."""
    root, graph = nn.Module(), fx.Graph()
    root.register_buffer("constant", tensor, persistent=False)
    graph.placeholder("owner")
    graph.output(graph.get_attr("constant"))
    return Computed(fx.GraphModule(root, graph), ())


def ones(channels: int, axes: int, value: float = 1.0) -> Computed:
    """The weight of a depthwise convolution with a kernel of 1 along all its axes: everywhere 1, or another value."""
    return fixed(torch.full((channels, 1, *[1] * axes), value))
