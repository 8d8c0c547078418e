"""`compile_graph`: what the interpreter makes of a program is what the operators make of the graph."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph, default_config
from compiler.emit.cut.packing import packs
from emulator import (
    AcceleratorConfig,
    Arithmetic,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    MaxPool,
    RescaledAdd,
    Tensor,
    run_graph_counts,
)
from emulator.instructions import INSTRUCTION_BYTES, Opcode
from emulator.operators.raw_average_pool import EXACT_ROUNDINGS
from tests.compiler.emit.one_linear import one_linear
from tests.compiler.interpreted import check, random_inputs
from tests.end_to_end.configs import CONFIGS
from tests.graphs import ALL_TAPS, random_arithmetic, random_config, random_graph, version_2_arithmetic, with_version_2


@pytest.mark.parametrize("seed", range(60))
def test_programs_equal_operators(seed: int) -> None:
    """Codes of every layer, and overflow and clip counts per channel, on arrays and memories of any size."""
    rng = np.random.default_rng(seed)
    arithmetic = random_arithmetic(rng)
    graph = random_graph(rng, arithmetic)
    check(graph, random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS), rng)


@pytest.mark.parametrize("seed", range(40))
def test_programs_of_version_2(seed: int) -> None:
    """Weights with zero points, `double`, rescaled sums, averages of raw codes, and sums as outputs."""
    rng = np.random.default_rng([seed, 2])
    arithmetic = version_2_arithmetic(rng)
    graph = with_version_2(rng, random_graph(rng, arithmetic))
    config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS)
    check(graph, replace(config, weight_zero_points=True, raw_outputs=True), rng)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(12))
def test_programs_for_the_simulated_configs(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    check(random_graph(rng, CONFIGS[name].arithmetic), CONFIGS[name], rng)


def test_the_random_graphs_meet_overflows_and_clips_and_tiling_and_every_operator() -> None:
    """What the comparison above would miss if it never happened."""
    overflows = clips = carried = fused = 0
    kinds: set[str] = set()
    opcodes: set[Opcode] = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        arithmetic = random_arithmetic(rng)
        graph = random_graph(rng, arithmetic)
        config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS)
        _, counts = run_graph_counts(graph, random_inputs(rng, graph))
        overflows += sum(int(c.overflows.sum()) for c in counts.values())
        clips += sum(int(c.clips.sum()) for c in counts.values())
        program = compile_graph(graph, config)
        carried += sum(i.opcode == Opcode.CONVOLVE and i["carry"] for i in program.instructions)
        fused += len(graph.nodes) - len(program.tensors)
        kinds |= {type(node).__name__ for node in graph.nodes}
        opcodes |= {i.opcode for i in program.instructions}
    assert overflows > 500 and clips > 1000 and carried > 100 and fused > 20
    assert kinds == {
        "Add", "AveragePool", "Concat", "Convolution", "Linear", "LookupTable", "MaxPool", "Pad", "Product", "Rescale",
        "Reshape", "Slice", "Transpose",
    }  # fmt: skip
    assert opcodes == set(Opcode)


def test_the_graphs_of_version_2_meet_what_it_adds() -> None:
    """Zero points whose weights are carried on and grouped, adders behind convolutions and alone, means, sums."""
    met: dict[str, int] = dict.fromkeys(
        ("carried", "grouped", "packed", "fused", "alone", "means", "sums", "narrow"), 0
    )
    for seed in range(40):
        rng = np.random.default_rng([seed, 2])
        arithmetic = version_2_arithmetic(rng)
        graph = with_version_2(rng, random_graph(rng, arithmetic))
        config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS)
        program = compile_graph(graph, replace(config, weight_zero_points=True, raw_outputs=True))
        met["carried"] += sum(i.opcode == Opcode.CONVOLVE and i["carry"] for i in program.instructions)
        _, counts = run_graph_counts(graph, random_inputs(rng, graph))
        for node in graph.nodes:
            if isinstance(node, Convolution | Linear):
                zero_points = node.weight_zero_point is not None and node.weight_zero_point.any()
                met["narrow"] += bool(zero_points and counts[node.name].overflows.any())
                met["sums"] += node.raw
                if isinstance(node, Convolution) and zero_points:
                    met["grouped"] += node.groups > 1
                    met["packed"] += packs(node, config.rows)
            elif isinstance(node, RescaledAdd):
                met["fused" if any(name not in program.tensors for name in node.inputs) else "alone"] += 1
            elif isinstance(node, AveragePool):
                met["means"] += node.raw
    assert min(met.values()) >= 5, met


def test_the_default_accelerator_has_what_the_graph_needs() -> None:
    plain = one_linear(5, 3, Arithmetic(rounding="double"))
    assert default_config(plain) == AcceleratorConfig(arithmetic=plain.arithmetic)
    for changes in (
        {"raw": True},
        {"weight_zero_point": np.array([0, 5, 0])},
        {"raw": True, "weight_zero_point": None},
    ):
        graph = replace(plain, nodes=(replace(plain.nodes[0], **changes),))
        config = default_config(graph)
        assert (config.raw_outputs, config.weight_zero_points) == ("raw" in changes, "raw" not in changes)
        check(graph, config, np.random.default_rng(3))


def test_a_mean_of_raw_codes_needs_a_rounding_to_the_nearest() -> None:
    source = Tensor(name="input", shape=(6, 6, 2), scale=1.0, zero_point=5)
    shared = {"shape": (1, 1, 2), "scale": 1.0, "zero_point": 5, "inputs": ("input",), "kernel": (6, 6)}
    node = AveragePool(
        name="mean", **shared, strides=(1, 1), multiplier=np.zeros((1, 1), int), shift=np.zeros((1, 1), int), raw=True
    )
    graph = Graph(inputs=(source,), nodes=(node,), outputs={"y": "mean"}, arithmetic=Arithmetic(rounding="floor"))
    with pytest.raises(CompileError, match=r"^layer 'mean': rounding must be one of half_even, .* not 'floor'$"):
        compile_graph(graph, AcceleratorConfig(arithmetic=graph.arithmetic))
    small = Arithmetic(multiplier_bits=8)
    with pytest.raises(CompileError, match=r"^layer 'mean': n must be smaller for multiplier_bits 8, not 36: "):
        compile_graph(replace(graph, arithmetic=small), AcceleratorConfig(arithmetic=small))
    for rounding in EXACT_ROUNDINGS:  # a window that the operand scratchpad holds, and one that it does not
        arithmetic = Arithmetic(rounding=rounding)
        for rows in (40, 20):
            config = AcceleratorConfig(columns=4, operand_scratchpad_bytes=4 * rows, arithmetic=arithmetic)
            check(replace(graph, arithmetic=arithmetic), config, np.random.default_rng(rows))


def test_a_layer_larger_than_every_scratchpad() -> None:
    """3000 inputs on an array whose activation scratchpad holds 64 codes and whose weight scratchpad 8 tiles."""
    arithmetic = Arithmetic(accumulator_bits=17)
    config = AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=64, weight_scratchpad_bytes=128, operand_scratchpad_bytes=64,
        output_scratchpad_bytes=64, accumulator_bytes=34, arithmetic=arithmetic,
    )  # fmt: skip
    check(one_linear(3000, 9, arithmetic), config, np.random.default_rng(1))


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
    check(one_linear(length, 3, arithmetic), config, np.random.default_rng(1), orders=0)


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
        operand_scratchpad_bytes=1 << 17, accumulator_bytes=1 << 16,
    )  # fmt: skip
    check(graph, config, rng)


def test_weights_and_inputs_are_loaded_once_where_they_fit() -> None:
    graph = one_linear(64, 4, Arithmetic())
    program = compile_graph(graph, AcceleratorConfig(rows=8, columns=4))
    assert [i.opcode.name for i in program.instructions] == [
        "LOAD", "LOAD", "LOAD", "CONVOLVE", "REQUANTIZE", "STORE", "COUNTERS", "STORE", "HALT",
    ]  # fmt: skip
    assert program.macs == 64 * 4


def test_without_counters_none_are_stored() -> None:
    graph = one_linear(64, 4, Arithmetic())
    config = AcceleratorConfig(rows=8, columns=4, counters=False)
    program = check(graph, config, np.random.default_rng(0))
    assert Opcode.COUNTERS not in [i.opcode for i in program.instructions]
    assert program.counters == ()


def test_instructions_lie_where_the_program_says() -> None:
    program = compile_graph(one_linear(8, 2, Arithmetic()), AcceleratorConfig())
    assert program.program_address % INSTRUCTION_BYTES == 0
    assert program.instructions[-1].opcode == Opcode.HALT


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_afterwards_as_before(on: bool) -> None:
    config = AcceleratorConfig(rows=2, columns=2)
    before = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        compile_graph(one_linear(4, 4, config.arithmetic), config)
        assert gc.isenabled() == on
        with pytest.raises(CompileError, match="bias"):
            compile_graph(one_linear(4, 4, config.arithmetic, bias=1 << 40), config)
        assert gc.isenabled() == on
    finally:
        (gc.enable if before else gc.disable)()
