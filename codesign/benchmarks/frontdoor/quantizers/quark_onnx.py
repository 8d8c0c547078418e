"""AMD Quark's quantizer of ONNX files."""

from __future__ import annotations

from pathlib import Path

from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config import Config, get_default_config

from ..families import Family
from ..float_models import float_file
from .onnx_runtime import Reader

CONFIGURATIONS = {"quark_s8s8": "S8S8_AAWS", "quark_xint8": "XINT8"}
"""Name of the quantizer → Quark's: int8 with scales of any value; int8 with powers of two."""


def quantize(name: str, family: Family, path: Path) -> None:
    """Write `family` with one of Quark's default configurations."""
    with float_file(family, path) as plain:
        config = Config(global_quant_config=get_default_config(CONFIGURATIONS[name]))
        ModelQuantizer(config).quantize_model(str(plain), str(path), Reader(family))
