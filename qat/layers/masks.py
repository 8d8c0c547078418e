"""Masks: which weights stay 0, in bool buffers beside the parameters, of float models and of prepared ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..host import tensor_named

SUFFIX = "_mask"


def masked(owner: nn.Module, name: str) -> Tensor:
    """The parameter of that qualified name, 0 where its mask is False; so is its gradient."""
    tensor, mask = tensor_named(owner, name), mask_of(owner, name)
    return tensor if mask is None else tensor * mask


def mask_of(owner: nn.Module, name: str) -> Tensor | None:
    """The mask of the parameter `name`: bool of its shape, True where it is free; None without one."""
    path, _, attribute = name.rpartition(".")
    return owner.get_submodule(path)._buffers.get(attribute + SUFFIX)


def set_mask(owner: nn.Module, name: str, mask: Tensor) -> None:
    """Set the parameter `name` to 0 where `mask` is False and keep it there; what an earlier mask keeps at 0 stays.

    mask : bool, of the parameter's shape

    The mask is the buffer NAME_mask, so copies, devices and states have it. A prepared model applies it whenever it
    reads the parameter, a float model in front of each forward pass of the module that has it.
    """
    earlier = mask_of(owner, name)
    _put(owner, name, mask if earlier is None else mask & earlier)


def restore_masks(owner: nn.Module, state: Mapping[str, object], prefix: str = "") -> None:
    """Give `owner` masks where the `state` that it is about to load has them, and only there."""
    for name, parameter in list(owner.named_parameters()):
        mask = state.get(f"{prefix}{name}{SUFFIX}")
        if isinstance(mask, Tensor):
            _put(owner, name, torch.ones_like(mask, device=parameter.device))
        elif f"{prefix}{name}" in state and mask_of(owner, name) is not None:
            path, _, attribute = name.rpartition(".")
            delattr(owner.get_submodule(path), attribute + SUFFIX)


def _put(owner: nn.Module, name: str, mask: Tensor) -> None:
    path, _, attribute = name.rpartition(".")
    module = owner.get_submodule(path)
    module.register_buffer(attribute + SUFFIX, mask)
    if _apply_masks not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(_apply_masks)
    _apply_masks(module)


def _apply_masks(module: nn.Module, _: object = None) -> None:
    # An optimizer's momentum may have moved what has no gradient. A captured graph must not write to parameters.
    if not torch.compiler.is_exporting():
        with torch.no_grad():
            for name, parameter in module.named_parameters(recurse=False):
                mask = mask_of(module, name)
                if mask is not None:
                    parameter.mul_(mask)
