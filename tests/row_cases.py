"""The row operators' vectors as arguments: lists expanded by their counts, parameters made of scales."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import Arithmetic
from emulator.operators.row_operators import (
    NormalizationParameters,
    SoftmaxParameters,
    make_normalization,
    make_softmax,
)
from tests.contract_vectors import load_vectors

COUNT = 1000
CLAMP = "zero_point", "y_min", "y_max"


@dataclass(frozen=True)
class RowCase:
    """One vector: codes x (N,) and their y (N,), what they are computed with, and the vector itself."""

    x: NDArray[np.int8]
    y: NDArray[np.int8]
    mask: NDArray[np.int8] | None
    parameters: Any
    arithmetic: Arithmetic
    vector: dict[str, Any]


@cache
def row_cases(name: str) -> list[RowCase]:
    """All vectors of softmax, layer_norm or rms_norm."""
    vectors = load_vectors(name)
    assert len(vectors) == COUNT
    return [_case(name, vector) for vector in vectors]


def _case(name: str, vector: dict[str, Any]) -> RowCase:
    arithmetic = Arithmetic(**{key: vector[key] for key in ("activation_bits", "multiplier_bits", "rounding")})
    x, y, mask = (_expanded(vector, key, np.int8) for key in ("x", "y", "mask"))
    make = _softmax if name == "softmax" else _normalization
    assert x is not None and y is not None
    return RowCase(x, y, mask, make(vector, len(x), arithmetic), arithmetic, vector)


def _softmax(vector: dict[str, Any], length: int, arithmetic: Arithmetic) -> SoftmaxParameters:
    clamp = [vector[key] for key in CLAMP]
    return make_softmax(vector["x_scale"], vector["y_scale"], *clamp, arithmetic, vector["beta"])


def _normalization(vector: dict[str, Any], length: int, arithmetic: Arithmetic) -> NormalizationParameters:
    gamma, beta = (_expanded(vector, key, np.float64) for key in ("gamma", "beta"))
    scales = vector["x_scale"], vector["x_zero_point"], vector["y_scale"]
    clamp = [vector[key] for key in CLAMP]
    return make_normalization(length, *scales, *clamp, arithmetic, gamma, beta, vector["epsilon"])


def _expanded(vector: dict[str, Any], key: str, kind: type[Any]) -> NDArray[Any] | None:
    if key not in vector:
        return None
    return np.repeat(np.array(vector[key], kind), vector.get("counts", 1))
