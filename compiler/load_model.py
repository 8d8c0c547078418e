"""`load_model`: a quantized model file of any known format as an integer `Graph`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from .onnx.load_onnx import load_onnx
from .reading.errors import ModelError, in_file
from .reading.file_bytes import first_bytes

TFLITE_IDENTIFIER = b"TFL3"
# The tags of an ONNX ModelProto's fields, one of which is its first byte.
ONNX_TAGS = frozenset(b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2\xca")


def load_model(
    path: str | PathLike[str],
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Read a quantized model file; its content says which format it has.

    path : an ONNX or a TFLite file; arithmetic, override, outputs : as for `load_onnx` and `load_tflite`

    Raises `ModelError`, one sentence with file, operator and reason.
    """
    with in_file(path):
        start = first_bytes(path, 8)
        if start[4:8] != TFLITE_IDENTIFIER and start[0] not in ONNX_TAGS:
            raise ValueError("is neither an ONNX model nor a TFLite file, or it is damaged at its beginning")
    if start[4:8] != TFLITE_IDENTIFIER:
        return load_onnx(path, arithmetic, override, outputs)
    try:
        from .tflite.load_tflite import load_tflite
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{path}: a TFLite file needs the package {error.name}: pip install 'lockstep[tflite]'"
        ) from None
    return load_tflite(path, arithmetic, override, outputs)
