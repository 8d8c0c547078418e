"""Products of two activations the whole way: operators, machine and RTL, in codes, counters, memory and cycles."""

from __future__ import annotations

import pytest

from emulator import Arithmetic
from tests.end_to_end.configs import VERSION_2
from tests.end_to_end.whole_way import Case, compiled, run_everywhere
from tests.product_graphs import attention_graph, product_graph, random_inputs


def cases(config_name: str) -> list[Case]:
    """Attention of as many and of fewer heads of keys, of one token and of several; and single products."""
    config = VERSION_2[config_name]
    arithmetic: Arithmetic = config.arithmetic
    graphs = [
        attention_graph(seed, arithmetic, tokens=tokens, heads=heads, depth=depth)
        for seed, (tokens, heads, depth) in enumerate([(7, (2, 2), 4), (9, (4, 2), 3), (1, (2, 1), 6)])
    ]
    graphs += [product_graph(seed, arithmetic, most=13) for seed in range(8)]
    return [compiled(graph, config, random_inputs(graph, seed)) for seed, graph in enumerate(graphs)]


@pytest.mark.parametrize("name", VERSION_2)
def test_products_are_equal_everywhere(name: str) -> None:
    found = run_everywhere(VERSION_2[name], cases(name), "verilator", latency=5, seed=3)
    overflows = sum(int(count.overflows.sum()) for _, counts in found for count in counts.values())
    clips = sum(int(count.clips.sum()) for _, counts in found for count in counts.values())
    assert overflows > 0 and clips > 0
