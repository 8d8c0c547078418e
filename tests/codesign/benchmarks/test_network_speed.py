"""The rows of whole networks beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import pytest

from codesign.benchmarks import network_speed
from codesign.networks import NetworkBuilder
from emulator import Arithmetic, Graph, run_graph


def tiny(arithmetic: Arithmetic) -> Graph:
    net = NetworkBuilder(arithmetic)
    x = net.convolution(net.input((6, 6, 3)), 8, (3, 3), "first")
    return net.finish(net.linear(net.average_pool(x, "average"), 4, "logits"))


def test_ratios_targets_and_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_speed, "NETWORKS", {"tiny": tiny})
    monkeypatch.setattr(network_speed, "CASES", (("tiny", 1, 1e9), ("tiny", 2, 0.0)))
    monkeypatch.setattr(network_speed, "ROUNDS", 2)
    monkeypatch.setattr(network_speed, "PAUSE", 0)
    processor, time, codes, missed, _ = network_speed.rows()
    assert processor["name"] == "tiny, batch 1: processor time over ONNX Runtime's"
    assert processor["value"] > 0 and time["value"] > 0
    assert [row["holds"] for row in (processor, time, codes, missed)] == [True, None, True, False]
    assert (codes["value"], codes["unit"], codes["target"]) == (0, "codes", "= 0")

    def wrong(*arguments: Any, every: bool = False) -> dict[str, Any]:
        result = run_graph(*arguments, every=every)
        next(iter(result.values())).flat[0] ^= 1
        return result

    monkeypatch.setattr(network_speed, "run_graph", wrong)
    codes = network_speed.rows()[2]
    assert (codes["value"], codes["holds"]) == (1, False)
