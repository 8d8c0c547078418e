"""A model that is one function of its input and of some modules and parameters, and what must hold of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import assert_equal_codes, assert_one_value, float_result, images

NARROW = Arithmetic(accumulator_bits=12, activation_bits=7, weight_bits=5, rounding="floor")
MAP, SEQUENCE, VECTOR = (4, 7, 6), (4, 9), (10,)


class Applied(nn.Module):
    """parts : modules, parameters (tensors of floats) and buffers (other tensors), by name."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                setattr(self, name, part)
            elif part.is_floating_point():
                setattr(self, name, nn.Parameter(part))
            else:
                self.register_buffer(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def check_applied(
    model: nn.Module, shape: tuple[int, ...], folder: Path, arithmetic: Arithmetic = NARROW
) -> qat.PreparedModel:
    """The layers compute the float model's function, in integers those of the emulator, and their gradients arrive."""
    x = images(5, shape=shape)
    prepared = qat.prepare(model.eval(), x, arithmetic)
    with torch.no_grad():
        torch.testing.assert_close(float_result(prepared, x), model(x), rtol=1e-4, atol=1e-5)
    assert_equal_codes(prepared, x, folder)
    assert_one_value(prepared, x)
    if any(parameter.requires_grad for parameter in model.parameters()):
        prepared.train()(x).square().mean().backward()
        for name, parameter in model.named_parameters():
            gradient = prepared.get_parameter(name).grad
            assert not parameter.requires_grad or (gradient is not None and gradient.isfinite().all()), name
    return prepared.eval()
