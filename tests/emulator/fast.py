"""The library products and compiled passes also where the work is small, so that small cases test them."""

from __future__ import annotations

import pytest

from emulator.operators.shared.optional_library import NUMBA, ONNX_RUNTIME, OptionalLibrary


def use_always(monkeypatch: pytest.MonkeyPatch, *libraries: OptionalLibrary) -> None:
    """Take these (none: all) wherever they are installed."""
    for library in libraries or (NUMBA, ONNX_RUNTIME):
        monkeypatch.setattr(library, "to_use", 0)
        monkeypatch.setattr(library, "to_load", 0)


def use_never(monkeypatch: pytest.MonkeyPatch, *libraries: OptionalLibrary) -> None:
    """Take none of these (none: of all), as if they were not installed."""
    for library in libraries or (NUMBA, ONNX_RUNTIME):
        monkeypatch.setattr(library, "to_use", 1 << 62)
