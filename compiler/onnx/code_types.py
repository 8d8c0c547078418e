"""Element types that codes have in a file; the graph's codes are signed."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from .tensor import DTYPES

CODE_TYPES: dict[np.dtype[Any], tuple[int, int, int]] = {
    DTYPES[TensorProto.INT8]: (-128, 127, 0),
    DTYPES[TensorProto.UINT8]: (0, 255, 128),
    DTYPES[TensorProto.INT4]: (-8, 7, 0),
    DTYPES[TensorProto.UINT4]: (0, 15, 8),
}
"""Element type → (smallest, largest, what is taken away so that the codes are signed)."""
