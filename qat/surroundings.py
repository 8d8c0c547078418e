"""What torch may do around a call: modes and transforms in which tensors hold no numbers, or may not be trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn


def check_transforms(what: str) -> None:
    """Raise ``RuntimeError`` inside torch.vmap, torch.func or torch.jit.trace: `what` reads numbers from tensors."""
    if torch._C._are_functorch_transforms_active():
        raise RuntimeError(
            f"{what} must not run inside torch.vmap or torch.func.grad, jvp and the like, whose tensors hold no "
            "numbers: call it outside, with the samples along the batch axis, and use backward()"
        )
    if torch._C._get_tracing_state() is not None:
        raise RuntimeError(
            f"{what} must not run inside torch.jit.trace, which cannot record its compiled passes: qat.export_onnx "
            "writes the model's integers to a file"
        )


def check_data(model: nn.Module, examples: tuple[Tensor, ...]) -> None:
    """Raise ``ValueError`` naming a tensor of the model, or of the examples, that has no data."""
    named = (*model.named_parameters(), *model.named_buffers())
    tensors = {f"model must hold numbers, and its tensor {name!r}": tensor for name, tensor in named}
    tensors |= {f"example_inputs must hold numbers, and tensor {index}": x for index, x in enumerate(examples)}
    for what, tensor in tensors.items():
        if tensor.is_meta:
            raise ValueError(
                f"{what} has none on the device meta: give it to a device with to_empty(device=…) and load its values, "
                "or create it there"
            )


@contextmanager
def trainable() -> Iterator[None]:
    """Inside, new tensors hold numbers and can be trained, whatever inference mode or default device is around."""
    device = torch.device("cpu") if torch.get_default_device().type == "meta" else nullcontext()
    with torch.inference_mode(False), device:
        yield


def own(x: Tensor) -> Tensor:
    """`x` without gradient; a copy of one that was made in inference mode, which autograd could not save."""
    x = x.detach()
    return x.clone() if x.is_inference() else x
