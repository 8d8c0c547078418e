"""``lockstep benchmark frontdoor``: all its rows, in the order of the README's table."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from . import cases as onnx_cases
from . import matrix, speed, tiny
from .fuzz import rows as damaged

MUTANTS = 10_000


def rows(
    models: Path | None = None, cases: Path | None = None, rtl: bool = False, files: int = MUTANTS
) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes some minutes.

    models : a folder of what `generate` wrote, QUANTIZER/FAMILY.onnx; the quantizers that can be imported here and have
        no folder in it are run first. None: a temporary one, with those only
    cases : a folder that holds ``onnx/``, scripts of small graphs, and ``tflite/``, MLPerf Tiny's files; rows of what
        it lacks say "not run"
    rtl : also run MLPerf Tiny's networks in Verilator
    files : how many mutated files are read, at least, of both formats together

    Raises ``ValueError`` naming a folder that is none.
    """
    for folder in (models, cases):
        if folder is not None and not folder.is_dir():
            raise ValueError(f"{folder}: must be a folder")
    onnx_folder, tflite_folder = (None if cases is None else cases / name for name in ("onnx", "tflite"))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = generated(models or work / "models")
        table = matrix.rows(list(matrix.outcomes(folder)), folder)
        table += onnx_cases.rows(onnx_folder, work)
        table += tiny.rows(tflite_folder, rtl)
        table += speed.rows(work / "mobilenet_v2.onnx")
        return table + damaged.rows(folder, tflite_folder, work, files)


def generated(folder: Path) -> Path:
    """`folder`, in which the quantizers that can be imported have written their files if it lacked them."""
    from .families import FAMILIES
    from .generate import generate
    from .quantizers import QUANTIZERS

    folder.mkdir(exist_ok=True)
    for quantizer, module in QUANTIZERS.items():
        if not (folder / quantizer).is_dir() and _importable(module):
            generate(quantizer, list(FAMILIES), folder)
    return folder


def _importable(module: str) -> bool:
    try:
        import_module(f"{__package__}.quantizers.{module}")
    except ImportError:
        return False
    return True
