"""What these tests take for granted: the syntheses that ship are of this RTL, which the area model's tests show."""

from __future__ import annotations

import pytest

from codesign.study.evaluation import evaluator


@pytest.fixture(autouse=True)
def _same_rtl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "measured_on_these_sources", lambda: True)
