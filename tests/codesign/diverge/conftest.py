"""The network in which faults are planted, and its inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Graph
from tests.compiler.models import small_network


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_network().save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def graph(file: Path) -> Graph:
    return load_onnx(file)


@pytest.fixture(scope="module")
def codes() -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(4).integers(-128, 128, (2, 3, 12, 12), np.int8)}
