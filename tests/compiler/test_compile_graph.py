"""`compile_graph`: what the machine makes of a program is what the operators make of the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import (
    AcceleratorConfig,
    Arithmetic,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    MaxPool,
    Rescale,
    Tensor,
    run_graph_counts,
)
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


@pytest.mark.parametrize(
    ("length", "rows", "columns", "scratchpad_rows"), [(5000, 1, 1, 8192), (10000, 2, 2, 16384), (70000, 64, 4, 2048)]
)
def test_a_linear_layer_longer_than_an_instructions_fields(
    length: int, rows: int, columns: int, scratchpad_rows: int
) -> None:
    """More channel rows than CONVOLVE walks, or more bytes of a pixel than LOAD brings, are cut as K is."""
    arithmetic = Arithmetic(accumulator_bits=20)
    config = AcceleratorConfig(
        rows=rows, columns=columns, activation_scratchpad_bytes=rows * scratchpad_rows,
        weight_scratchpad_bytes=columns * min(rows * 6000, 1 << 16), arithmetic=arithmetic,
    )  # fmt: skip
    graph = one_linear(length, 3, arithmetic)
    x = np.random.default_rng(1).integers(-128, 128, (1, length), dtype=np.int8)
    result = Machine(config).run(compile_graph(graph, config), {"input": x})
    codes, counts = run_graph_counts(graph, {"input": x})
    np.testing.assert_array_equal(result.outputs["y"], codes["head"])
    np.testing.assert_array_equal(result.counters["overflowed"]["head"], counts["head"].overflows)


@pytest.mark.parametrize(
    ("size", "kernel"), [((1, 9000), (1, 3)), ((9000, 1), (3, 1)), ((1, 400), (1, 300)), ((400, 1), (300, 1))]
)
def test_a_map_or_kernel_longer_than_an_instructions_fields(size: tuple[int, int], kernel: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    source = Tensor(name="input", shape=(*size, 1), scale=1.0, zero_point=0)
    shape = tuple(s - k + 1 for s, k in zip(size, kernel, strict=True))
    convolution = Convolution(
        name="conv", shape=(*shape, 2), inputs=("input",), scale=1.0, zero_point=0,
        weight=rng.integers(-128, 128, (2, *kernel, 1), dtype=np.int8), bias=np.zeros(2, np.int64),
        multiplier=np.full(2, 1 << 23), shift=np.full(2, 38),
    )  # fmt: skip
    pool = MaxPool(
        name="pool", shape=(*shape, 2), inputs=("conv",), scale=1.0, zero_point=0, kernel=(1, 1), strides=(1, 1)
    )
    graph = Graph(inputs=(source,), nodes=(convolution, pool), outputs={"y": "pool"}, arithmetic=Arithmetic())
    config = AcceleratorConfig(
        rows=1, columns=2, activation_scratchpad_bytes=1 << 16, output_scratchpad_bytes=1 << 17,
        accumulator_bytes=1 << 16,
    )  # fmt: skip
    x = rng.integers(-128, 128, (1, 1, *size), dtype=np.int8)
    result = Machine(config).run(compile_graph(graph, config), {"input": x})
    np.testing.assert_array_equal(result.outputs["y"], run_graph_counts(graph, {"input": x})[0]["pool"])


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": np.full(2, 63)}, "shift must be from 0 to 62, not 63"),
        ({"multiplier": np.full(2, 1 << 24)}, "multiplier must be from 0 to 16777215, not 16777216"),
        ({"y_min": 5, "y_max": 4}, "y_min must be at most y_max"),
        ({"shape": (3,)}, r"shape must be \(2,\), not \(3,\)"),
        ({"weight": np.zeros((7, 2), np.int8)}, "w must have"),
        ({"inputs": ("nobody",)}, "input must be a graph input or an earlier layer, not 'nobody'"),
    ],
)
def test_a_graph_that_the_operators_refuse_is_refused(change: dict[str, object], message: str) -> None:
    """What the accelerator would take for something else, or cut off, is named with its layer."""
    graph = one_linear(8, 2, Arithmetic())
    with pytest.raises(CompileError, match=f"layer 'head': .*{message}"):
        compile_graph(replace(graph, nodes=(replace(graph.nodes[0], **change),)), AcceleratorConfig())


def test_weights_beyond_their_bits_are_refused() -> None:
    arithmetic = Arithmetic(weight_bits=4)
    with pytest.raises(CompileError, match="layer 'head': w must be from -8 to 7"):
        compile_graph(one_linear(8, 2, arithmetic), AcceleratorConfig(arithmetic=arithmetic))


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
    arithmetic = Arithmetic(accumulator_bits=16)
    graph = replace(pooled(182), arithmetic=arithmetic)  # 182² · 255 is beyond 24 bits, 182² · 128 is not
    config = AcceleratorConfig(output_scratchpad_bytes=8 * 65536, arithmetic=arithmetic)
    compile_graph(graph, config)
    full_range = replace(graph, inputs=(replace(graph.inputs[0], zero_point=-128),))
    with pytest.raises(CompileError, match="layer 'mean': kernel must keep sums of its window in 24 bits, not be"):
        compile_graph(full_range, config)
