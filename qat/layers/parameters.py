"""Of which tensors of the float model a layer's weight and bias are made, with a BatchNorm folded into them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..host import tensor_named
from .computed import Computed, value_of
from .masks import masked


@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """A BatchNorm to fold: the names of its module and tensors in the float model.

    frozen : its statistics stay as they are in training, too
    """

    module: str
    weight: str | None
    bias: str | None
    running_mean: str
    running_var: str
    eps: float
    momentum: float
    frozen: bool = False

    def fold(self, owner: nn.Module, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Float weight (channels, …) and bias (channels,) with the running statistics folded in."""
        factor = 1 / torch.sqrt(tensor_named(owner, self.running_var) + self.eps)
        if self.weight is not None:
            factor = factor * masked(owner, self.weight)
        bias = (bias - tensor_named(owner, self.running_mean)) * factor
        if self.bias is not None:
            bias = bias + masked(owner, self.bias)
        return weight * factor.view(-1, *[1] * (weight.ndim - 1)), bias

    def ratio(self, owner: nn.Module, weight: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """How much longer float weights are than their codes, float64 (channels,), and where codes have no length.

        Both (channels, …). Negative where the affine function turned the codes round.
        """
        lengths = [torch.linalg.vector_norm(w.flatten(1), dim=1).double() for w in (weight, codes)]
        if self.weight is not None:
            lengths[1] = lengths[1] * masked(owner, self.weight).sign()
        return lengths[0] / lengths[1], lengths[1] == 0

    @torch.no_grad()
    def follow(self, owner: nn.Module, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch, (channels,) each, by the module's momentum."""
        module, momentum = owner.get_submodule(self.module), self.momentum
        count = getattr(module, "num_batches_tracked", None)
        if isinstance(count, Tensor):
            count.add_(1)
            if getattr(module, "momentum", momentum) is None:
                momentum = 1 / float(count)
        for name, value in ((self.running_mean, mean), (self.running_var, variance)):
            running = tensor_named(owner, name)
            running.lerp_(value.to(running), momentum)


class OfParameters:
    """A layer with a weight (channels, …) and a bias (channels,).

    weight_tensor, bias_tensor : names of the parameters in the float model, or what computes such tensors; no bias is 0
    batch_norm : what is folded into both
    """

    weight_tensor: str | Computed
    bias_tensor: str | Computed | None
    batch_norm: BatchNorm | None

    @property
    def weight_name(self) -> str | None:
        """The parameter that is the weight as it is."""
        return self.weight_tensor if isinstance(self.weight_tensor, str) else None

    @property
    def parameter(self) -> str:
        """The name of the weight of a layer that is `rewritable`."""
        assert self.weight_name is not None
        return self.weight_name

    @property
    def bias_name(self) -> str | None:
        """The parameter that is the bias as it is."""
        return self.bias_tensor if isinstance(self.bias_tensor, str) else None

    @property
    def parameter_names(self) -> list[str]:
        """Of all parameters and buffers that weight, bias and BatchNorm's affine function are made of."""
        norm = self.batch_norm
        tensors = (self.weight_tensor, self.bias_tensor, *((norm.weight, norm.bias) if norm else ()))
        names = [
            tensor.names if isinstance(tensor, Computed) else (tensor,) for tensor in tensors if tensor is not None
        ]
        return [name for part in names for name in part]

    @property
    def rewritable(self) -> bool:
        """Whether weight and bias are parameters of their own layout, which tools may rewrite."""
        return self.weight_name is not None and not isinstance(self.bias_tensor, Computed)

    def floats(self, owner: nn.Module) -> tuple[Tensor, Tensor]:
        """Float weight and bias, masks applied, without BatchNorm."""
        weight = value_of(owner, self.weight_tensor)
        bias = weight.new_zeros(weight.shape[0]) if self.bias_tensor is None else value_of(owner, self.bias_tensor)
        return weight, bias

    def folded(self, owner: nn.Module) -> tuple[Tensor, Tensor]:
        """Float weight and bias, masks applied, with BatchNorm's running statistics folded in."""
        weight, bias = self.floats(owner)
        return (weight, bias) if self.batch_norm is None else self.batch_norm.fold(owner, weight, bias)
