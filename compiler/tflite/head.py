"""What the host computes in front of the graph's inputs: codes of uint8, and floats rounded as TFLM rounds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph.host_part import HostPart

from .environment import Environment
from .file import FileTensor
from .operator import Operator


class TfliteHead(HostPart):
    """Passes int8 codes on, shifts uint8 codes to signed ones, and quantizes floats half away from zero.

    rounded : float input → (scale, zero point); the others' floats are quantized by the graph's own door
    """

    def __init__(self, names: tuple[str, ...], rounded: Mapping[str, tuple[float, int]]) -> None:
        self.inputs = self.outputs = names
        self.rounded = dict(rounded)

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """{name: int8 codes, or what it was given}."""
        return {name: self._codes(name, arrays[name]) for name in self.outputs}

    def _codes(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        if not isinstance(array, np.ndarray):
            return array
        if array.dtype == np.uint8 and name not in self.rounded:
            return (array ^ np.uint8(0x80)).view(np.int8)
        if array.dtype.kind != "f" or name not in self.rounded or np.isnan(array).any():
            return array
        scale, zero_point = self.rounded[name]
        return quantize_half_away(array, scale, zero_point)


def quantize_half_away(array: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.int8]:
    """clamp(zero point + round_half_away(float32(x / scale))), as TFLite's QUANTIZE has it; x without NaN."""
    with np.errstate(over="ignore"):
        quotient = (array.astype(np.float32) / np.float32(scale)).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
    return np.asarray(np.clip(rounded + zero_point, -128, 127), np.int8)


def float_input(env: Environment, found: FileTensor, readers: list[Operator]) -> Operator:
    """The QUANTIZE that alone reads a float input; ``ValueError`` if anything else does."""
    others = [op for op in readers if op.type != "QUANTIZE"]
    if others:
        raise ValueError(
            f"input {found.name!r} is float32 and read by {others[0]}; convert with full integer quantization "
            "(a representative dataset and supported_ops TFLITE_BUILTINS_INT8)"
        )
    targets = {env.quantization(env.output(op)) for op in readers}
    if len(targets) != 1:
        raise ValueError(f"input {found.name!r} must be quantized with one scale and zero point, not with several")
    return readers[0]
