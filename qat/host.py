"""`Host`: what stays in floats in front of the quantized layers, such as embedding look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Argument:
    """An argument of the model: its name, shape without the batch axis, and whether it holds floats or integers."""

    name: str
    shape: tuple[int, ...]
    floating: bool

    def check(self, x: object) -> Tensor:
        """`x` if it is such a tensor, for any batch, and without NaN; an error that names the argument otherwise."""
        kind = "a float" if self.floating else "an integer"
        if not isinstance(x, Tensor) or x.is_floating_point() != self.floating or x.is_complex():
            found = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{self.name} must be {kind} tensor, not {found}")
        if tuple(x.shape[1:]) != self.shape or x.ndim != len(self.shape) + 1:
            shape = ", ".join(map(str, ("batch", *self.shape)))
            raise ValueError(f"{self.name} must have shape ({shape}), not {tuple(x.shape)}")
        # The least of numbers of which one is NaN is NaN.
        if self.floating and x.numel() > 0 and bool(x.amin().isnan()):
            raise ValueError(f"{self.name} must not contain NaN")
        return x


class Host(nn.Module):
    """The model's arguments, checked, and the float inputs of the quantized layers, computed of them.

    program : (owner, argument, …) → the inputs, in the order of `names`; shapes : of the inputs, without the batch axis
    """

    def __init__(
        self,
        arguments: Sequence[Argument],
        program: fx.GraphModule,
        names: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.arguments = tuple(arguments)
        self.program = program
        self.names = tuple(names)
        self.shapes = tuple(shapes)

    def check(self, inputs: Sequence[object]) -> list[Tensor]:
        """The checked arguments; ``TypeError`` or ``ValueError`` that names one."""
        if len(inputs) != len(self.arguments):
            names = ", ".join(argument.name for argument in self.arguments)
            raise TypeError(f"inputs must be {len(self.arguments)} ({names}), not {len(inputs)}")
        tensors = [argument.check(x) for argument, x in zip(self.arguments, inputs, strict=True)]
        if len({tensor.shape[0] for tensor in tensors}) > 1:
            raise ValueError(f"inputs must have one batch size, not {[tensor.shape[0] for tensor in tensors]}")
        return tensors

    def forward(self, inputs: Sequence[object], owner: nn.Module) -> dict[str, Tensor]:
        """{input name: float tensor}, with gradients to the parameters of embeddings."""
        tensors = self.program(owner, *self.check(inputs))
        return dict(zip(self.names, tensors, strict=True))


def tensor_named(owner: nn.Module, name: str) -> Tensor:
    """The parameter or buffer of that qualified name."""
    module, _, attribute = name.rpartition(".")
    tensor = getattr(owner.get_submodule(module), attribute)
    assert isinstance(tensor, Tensor)
    return tensor


def filled(x: Tensor, shape: Sequence[int], value: float) -> Tensor:
    """A float32 tensor (batch of `x`, *shape) of one value."""
    return torch.full((x.shape[0], *shape), value, dtype=torch.float32, device=x.device)
