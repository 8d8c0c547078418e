"""Exact emulation of whole networks over ONNX Runtime's default session, on one file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from compiler import load_onnx
from emulator import Arithmetic, Graph, run_graph, run_graph_counts

from ..networks import NETWORKS
from ..networks.qdq_file import qdq_model
from .rows import median_ratio, row

CASES = (("ResNet-50", 1, 2.0), ("ResNet-50", 8, 1.5), ("MobileNetV2", 1, None), ("MobileNetV2", 8, None))
"""Network, batch, and what its processor time over ONNX Runtime's must be at most."""
ROUNDS = 7
PAUSE = 0.2
"""Seconds until threads of the call before no longer spin."""
SEED = 3


def rows() -> list[dict[str, Any]]:
    """Processor time and time of `run_graph` over those of ONNX Runtime, from float inputs to the output's codes.

    Both run the same file one after the other in each round, on all processors, and a value is the median of the
    rounds' ratios. The codes are compared with those of the operators one by one, which count overflows as they go.
    """
    table = []
    for name in dict.fromkeys(case[0] for case in CASES):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            path.write_bytes(qdq_model(NETWORKS[name](Arithmetic())).SerializeToString())
            graph, session = load_onnx(path), onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        for network, batch, most in CASES:
            if network == name:
                table += _case(name, batch, most, graph, session)
    return table


def _case(name: str, batch: int, most: float | None, graph: Graph, session: Any) -> list[dict[str, Any]]:
    (tensor,) = graph.inputs
    height, width, channels = tensor.shape
    x = np.random.default_rng(SEED).normal(0, 1, (batch, channels, height, width)).astype(np.float32)
    inputs = {tensor.name: x}
    ours = _times(lambda: run_graph(graph, inputs), lambda: session.run(None, inputs))
    processor = median_ratio(ours[0], ours[2])
    what = f"{name}, batch {batch}: {{}} over ONNX Runtime's"
    target, holds = (None, None) if most is None else (f"≤ {most:g}", processor <= most)
    table = [
        row(what.format("processor time"), processor, "×", target, holds),
        row(what.format("time"), median_ratio(ours[1], ours[3]), "×"),
    ]
    if batch == 1:
        expected, _ = run_graph_counts(graph, inputs)
        found = run_graph(graph, inputs, every=True)
        count = sum(int((found[layer] != codes).sum()) for layer, codes in expected.items())
        table.append(
            row(f"{name}: codes that differ from the operators' one by one", count, "codes", "= 0", count == 0)
        )
    return table


def _times(first: Callable[[], object], second: Callable[[], object]) -> list[list[float]]:
    """Processor seconds and seconds of the first call, and those of the second, by rounds; two more do not count."""
    times: list[list[float]] = [[], [], [], []]
    for number in range(-2, ROUNDS):
        for index, call in enumerate((first, second)):
            time.sleep(PAUSE)
            processor, wall = time.process_time(), time.perf_counter()
            call()
            if number >= 0:
                times[2 * index].append(time.process_time() - processor)
                times[2 * index + 1].append(time.perf_counter() - wall)
    return times
