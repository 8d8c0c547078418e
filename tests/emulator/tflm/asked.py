"""What the package `tflite-micro` says of one operator on chosen codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.peers.tflm import run_tflm
from compiler.tflite.writer import FileOperator, FileTensor, tflite_file

pytest.importorskip("tflite_micro", reason="the package tflite-micro is not installed (extra tflm)")

EVERY_CODE = np.arange(-128, 128).astype(np.int8)[None]

Quantization = tuple[float, int]


def asked(
    code: str,
    inputs: Sequence[tuple[NDArray[np.int8], Quantization]],
    output: tuple[Sequence[int], Quantization],
    options: Mapping[str, Any] | None = None,
    constants: Sequence[NDArray[np.int32]] = (),
) -> NDArray[np.int8]:
    """The codes that the operator makes of `inputs`, codes with scale and zero point; constants are inputs behind them.

    output : its shape with the batch axis, its scale and its zero point
    """
    given = {f"x{i}": codes for i, (codes, _) in enumerate(inputs)}
    tensors = [
        FileTensor(name, codes.shape, scale=scale, zero_point=zero)
        for (name, codes), (_, (scale, zero)) in zip(given.items(), inputs, strict=True)
    ]
    extra = [FileTensor(f"c{i}", values.shape, "int32", data=values) for i, values in enumerate(constants)]
    made = FileTensor("y", output[0], scale=output[1][0], zero_point=output[1][1])
    operator = FileOperator(code, [*given, *(tensor.name for tensor in extra)], ["y"], options or {})
    file = tflite_file([*tensors, *extra, made], [operator], list(given), ["y"])
    codes: NDArray[np.int8] = run_tflm(file, given)["y"]
    return codes


def draws(count: int, seed: int) -> list[tuple[Quantization, Quantization, Quantization, float]]:
    """Three quantizations and a factor each, of scales from 2^−14 to 2^2."""
    rng = np.random.default_rng(seed)

    def quantization() -> Quantization:
        return float(np.float32(2.0 ** rng.uniform(-14, 2))), int(rng.integers(-128, 128))

    return [(quantization(), quantization(), quantization(), float(np.float32(rng.normal()))) for _ in range(count)]
