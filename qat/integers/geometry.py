"""`Geometry` and `Window`: where the windows of a convolution and of a pool lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Stride, padding (top, left, bottom, right), dilation and groups of a convolution."""

    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    def attributes(self, kernel: Sequence[int]) -> dict[str, Any]:
        """The attributes of an ONNX Conv."""
        return {
            "kernel_shape": list(kernel),
            "strides": self.strides,
            "pads": self.padding,
            "dilations": self.dilations,
            "group": self.groups,
        }

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """torch's float convolution with this geometry."""
        top, left, bottom, right = self.padding
        if (top, left) == (bottom, right):
            return F.conv2d(x, weight, bias, self.strides, (top, left), self.dilations, self.groups)
        padded = F.pad(x, (left, right, top, bottom))
        return F.conv2d(padded, weight, bias, self.strides, 0, self.dilations, self.groups)

    def gradients(self, x: Tensor, weight: Tensor, gradient: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """Gradients of `x`, `weight` and the bias, where `needed`, for that of the convolution's result."""
        top, left, bottom, right = self.padding
        even = (top, left) == (bottom, right)
        operand, padding = (x, (top, left)) if even else (F.pad(x, (left, right, top, bottom)), (0, 0))
        window = self.strides, padding, self.dilations, False, (0, 0), self.groups
        to_x, to_weight, to_bias = torch.ops.aten.convolution_backward(
            gradient, operand, weight, [weight.shape[0]], *window, list(needed)
        )
        if to_x is not None and not even:
            to_x = to_x[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        return [to_x, to_weight, to_bias]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Kernel, stride, padding on either side, and dilation of a pool, (height, width) each; a sequence has height 1.

    beyond : what ceil_mode adds behind the padding so that a last window fits, which no mean counts
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilations: tuple[int, int] = (1, 1)
    beyond: tuple[int, int] = (0, 0)

    @property
    def area(self) -> int:
        """Positions of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Padding on each side and what is beyond: (top, left, bottom, right)."""
        (top, left), (bottom, right) = self.padding, self.beyond
        return top, left, top + bottom, left + right

    def attributes(self, axes: int) -> dict[str, Any]:
        """The attributes of an ONNX pool over the last 1 or 2 `axes`."""
        attributes: dict[str, Any] = {
            "kernel_shape": self.kernel[-axes:],
            "strides": self.strides[-axes:],
            "pads": self.sides[:2][-axes:] + self.sides[2:][-axes:],
        }
        # ONNX Runtime's integer average pool knows no dilations, not even of 1.
        return attributes if self.dilations == (1, 1) else attributes | {"dilations": self.dilations[-axes:]}
