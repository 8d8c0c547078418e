"""Random networks, every tensor against TFLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compiler.tflite.net import check_tflm
from tests.compiler.tflite.random_net import RandomNet


@pytest.mark.parametrize("seed", range(25))
def test_tflm(tmp_path: Path, seed: int) -> None:
    check_tflm(RandomNet(seed), tmp_path)
