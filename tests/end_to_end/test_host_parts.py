"""A model whose host computes in front of the accelerator and behind it, and whose last layer's sums are an output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph
from emulator import Machine, Result, run_graph, run_graph_counts
from rtl import simulate
from tests.emulator.graph.test_run_version_2 import Normalize, fitting, network
from tests.end_to_end.configs import VERSION_2

CONFIG = VERSION_2["5x4"]
BATCH = 2


def test_operators_machine_and_rtl_take_and_give_the_model_s_own(simulator: str) -> None:
    plain = network(CONFIG.arithmetic)
    plain = replace(plain, nodes=tuple(fitting(node, CONFIG.arithmetic) for node in plain.nodes))
    head, tail = Normalize(("pixels", "mean"), ("image",)), Normalize(("logits",), ("real", "best"))
    graph = replace(plain, head=head, tail=tail)
    program = compile_graph(graph, CONFIG)
    assert program.image == compile_graph(plain, CONFIG).image
    rng = np.random.default_rng(1)
    inputs = {"pixels": rng.normal(3, 5, (BATCH, 2, 6, 5)), "mean": rng.normal(3, 1, (BATCH, 2, 6, 5))}
    expected = run_graph(graph, inputs)
    codes, counts = run_graph_counts(graph, inputs)
    assert expected["real"].any() and counts["sums"].overflows.any()

    results: list[Result] = [
        Machine(CONFIG).run(program, inputs), simulate(program, CONFIG, inputs, simulator),
    ]  # fmt: skip
    for result in results:
        assert list(result.outputs) == list(expected) == ["features", "real", "best"]
        for name, array in expected.items():
            np.testing.assert_array_equal(result.outputs[name], array, err_msg=name, strict=True)
        for name, array in result.layers.items():
            np.testing.assert_array_equal(array, codes[name], err_msg=name, strict=True)
        assert result.layers["sums"].dtype == np.int64
        np.testing.assert_array_equal(result.counters["overflowed"]["sums"], counts["sums"].overflows)
        assert not result.counters["clipped"]["sums"].any()
    assert results[0].memory == results[1].memory and results[0].cycles == results[1].cycles
    with pytest.raises(ValueError, match="inputs must be named 'pixels', 'mean', not 'image'"):
        Machine(CONFIG).run(program, {"image": inputs["pixels"]})
