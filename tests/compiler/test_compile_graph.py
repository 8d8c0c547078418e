"""`compile_graph`: what the machine makes of a program is what the operators make of the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import AcceleratorConfig, Arithmetic, AveragePool, Graph, Linear, Rescale, Tensor, run_graph_counts
from emulator.instructions import Opcode
from emulator.machine import Machine
from tests.graphs import random_arithmetic, random_config, random_graph


def random_input(rng: np.random.Generator, graph: Graph, batch: int) -> np.ndarray:
    source = graph.inputs[0]
    height, width, depth = source.shape
    return rng.integers(source.y_min, source.y_max + 1, (batch, depth, height, width), dtype=np.int8)


@pytest.mark.parametrize("seed", range(60))
def test_machine_equals_operators(seed: int) -> None:
    """Codes of every layer, and overflow and clip counts per channel, on arrays and memories of any size."""
    rng = np.random.default_rng(seed)
    arithmetic = random_arithmetic(rng)
    graph = random_graph(rng, arithmetic)
    config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    x = random_input(rng, graph, 2)
    codes, counts = run_graph_counts(graph, {"input": x})
    result = Machine(config).run(compile_graph(graph, config), {"input": x})
    assert set(result.layers) == set(codes)
    for name, expected in codes.items():
        np.testing.assert_array_equal(result.layers[name], expected, err_msg=name)
    np.testing.assert_array_equal(result.outputs["output"], codes["linear"])
    for name, overflows in result.counters["overflowed"].items():
        np.testing.assert_array_equal(overflows, counts[name].overflows, err_msg=name)
        np.testing.assert_array_equal(result.counters["clipped"][name], counts[name].clips, err_msg=name)
    assert len(set(result.cycles_per_sample)) == 1, "no cycle depends on data"


def test_the_random_graphs_meet_overflows_and_clips_and_tiling() -> None:
    """What the comparison above would miss if it never happened."""
    overflows = clips = carried = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        arithmetic = random_arithmetic(rng)
        graph = random_graph(rng, arithmetic)
        config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)))
        _, counts = run_graph_counts(graph, {"input": random_input(rng, graph, 2)})
        overflows += sum(int(c.overflows.sum()) for c in counts.values())
        clips += sum(int(c.clips.sum()) for c in counts.values())
        program = compile_graph(graph, config)
        carried += sum(i.opcode == Opcode.CONVOLVE and i["carry"] for i in program.instructions)
    assert overflows > 1000 and clips > 1000 and carried > 100


def one_linear(length: int, columns: int, arithmetic: Arithmetic, bias: int = 0) -> Graph:
    rng = np.random.default_rng(0)
    source = Tensor(name="input", shape=(length,), scale=1.0, zero_point=0)
    node = Linear(
        name="head", shape=(columns,), inputs=("input",), scale=1.0, zero_point=0,
        weight=rng.integers(-128, 128, (length, columns), dtype=np.int8), bias=np.full(columns, bias, np.int64),
        multiplier=np.full(columns, 1 << 23), shift=np.full(columns, 40),
    )  # fmt: skip
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "head"}, arithmetic=arithmetic)


def test_a_layer_larger_than_every_scratchpad() -> None:
    """3000 inputs on an array whose activation scratchpad holds 64 codes and whose weight scratchpad 8 tiles."""
    arithmetic = Arithmetic(accumulator_bits=17)
    config = AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=64, weight_scratchpad_bytes=128, output_scratchpad_bytes=128,
        accumulator_bytes=34, arithmetic=arithmetic,
    )  # fmt: skip
    graph = one_linear(3000, 9, arithmetic)
    x = np.random.default_rng(1).integers(-128, 128, (1, 3000), dtype=np.int8)
    codes, counts = run_graph_counts(graph, {"input": x})
    assert counts["head"].overflows.sum() > 0
    result = Machine(config).run(compile_graph(graph, config), {"input": x})
    np.testing.assert_array_equal(result.outputs["y"], codes["head"])
    np.testing.assert_array_equal(result.counters["overflowed"]["head"], counts["head"].overflows)


def test_weights_and_inputs_are_loaded_once_where_they_fit() -> None:
    graph = one_linear(64, 4, Arithmetic())
    program = compile_graph(graph, AcceleratorConfig(rows=8, columns=4))
    assert [i.opcode.name for i in program.instructions] == [
        "LOAD", "PARAMETERS", "LOAD", "LOAD", "CONVOLVE", "REQUANTIZE", "STORE", "COUNTERS", "STORE", "HALT",
    ]  # fmt: skip
    assert program.macs == 64 * 4


def test_without_counters_none_are_stored() -> None:
    graph = one_linear(64, 4, Arithmetic())
    config = AcceleratorConfig(rows=8, columns=4, counters=False)
    program = compile_graph(graph, config)
    assert Opcode.COUNTERS not in [i.opcode for i in program.instructions]
    x = np.ones((1, 64), np.int8)
    assert Machine(config).run(program, {"input": x}).counters == {"overflowed": {}, "clipped": {}}


def test_a_bias_that_does_not_fit_names_layer_and_channel() -> None:
    arithmetic = Arithmetic(accumulator_bits=12)
    with pytest.raises(CompileError, match="layer 'head': the bias of channel 0 must be from -2048 to 2047, not 2048"):
        compile_graph(one_linear(8, 2, arithmetic, bias=2048), AcceleratorConfig(arithmetic=arithmetic))


def test_another_arithmetic_is_refused_by_field() -> None:
    with pytest.raises(ValueError, match="accumulator_bits must be the graph's 32 in the config, not 20"):
        compile_graph(one_linear(8, 2, Arithmetic()), AcceleratorConfig(arithmetic=Arithmetic(accumulator_bits=20)))


def test_an_operator_without_instruction_is_named() -> None:
    graph = one_linear(8, 2, Arithmetic())
    rescale = Rescale(name="wider", shape=(2,), inputs=("head",), scale=1.0, zero_point=0, multiplier=1 << 23, shift=23)
    graph = replace(graph, nodes=(*graph.nodes, rescale), outputs={"y": "wider"})
    with pytest.raises(CompileError, match=r"layer 'wider' \(Rescale\): the accelerator has no instruction"):
        compile_graph(graph, AcceleratorConfig())


def pooled(size: int) -> Graph:
    source = Tensor(name="input", shape=(size, size, 1), scale=1.0, zero_point=0)
    node = AveragePool(
        name="mean", shape=(1, 1, 1), inputs=("input",), scale=1.0, zero_point=0, kernel=(size, size), strides=(1, 1),
        multiplier=np.full((1, 1), 1 << 23), shift=np.full((1, 1), 30),
    )  # fmt: skip
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "mean"}, arithmetic=Arithmetic())


def test_a_window_larger_than_the_output_scratchpad_is_named() -> None:
    with pytest.raises(CompileError, match=r"layer 'mean': its pooling window needs 3618 rows .* which has 2048"):
        compile_graph(pooled(60), AcceleratorConfig())


def test_a_value_beyond_its_field_is_named() -> None:
    config = AcceleratorConfig(output_scratchpad_bytes=8 * 65536)
    with pytest.raises(
        CompileError, match=r"layer 'mean' does not fit the instruction set: POOL\.kernel_height must be"
    ):
        graph = pooled(60)
        node = replace(
            graph.nodes[0],
            kernel=(256, 1),
            shape=(1, 60, 1),
            padding=(196, 0, 0, 0),
            multiplier=np.full((1, 60), 1),
            shift=np.full((1, 60), 1),
        )
        compile_graph(replace(graph, nodes=(node,)), config)


def test_a_sum_that_does_not_fit_is_named() -> None:
    with pytest.raises(CompileError, match="layer 'mean': the sum of its window does not fit 32 bits"):
        graph = pooled(60)
        compile_graph(replace(graph, nodes=(replace(graph.nodes[0], kernel=(3000, 3000)),)), AcceleratorConfig())
