"""One torch thread: the networks are small, and the tests share the cores with others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from codesign.benchmarks.qat_step import threads

torch.set_num_threads(1)


@pytest.fixture(params=[1, 2])
def shares(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, or two that the compiled passes share even for small tensors."""
    monkeypatch.setattr("qat.integers.rows.PARALLEL_ELEMENTS", 1)
    with threads(request.param):
        yield
