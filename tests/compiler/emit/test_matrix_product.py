"""Compiled products of two activations: the machine's codes and counters are the operators'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import (
    AcceleratorConfig,
    Arithmetic,
    Concat,
    ConstantTensor,
    Graph,
    Machine,
    MatrixProduct,
    Node,
    Tensor,
    Transpose,
    run_graph,
    run_graph_counts,
)
from emulator.instructions import Opcode
from tests.compiler import interpreted
from tests.product_graphs import attention_graph, common_range, factors, fields, product_graph, random_inputs

CONFIGS = [
    AcceleratorConfig(
        rows=4, columns=4, activation_scratchpad_bytes=4 * 60, weight_scratchpad_bytes=4 * 40,
        operand_scratchpad_bytes=4 * 40, output_scratchpad_bytes=4 * 30, accumulator_bytes=4 * 12 * 5,
        weight_zero_points=True, arithmetic=Arithmetic(accumulator_bits=15),
    ),
    AcceleratorConfig(
        rows=3, columns=5, dataflow="output_stationary", activation_scratchpad_bytes=3 * 70,
        weight_scratchpad_bytes=5 * 90, operand_scratchpad_bytes=5 * 40, output_scratchpad_bytes=5 * 40,
        accumulator_bytes=5 * 9 * 5, bus_bytes=16, weight_zero_points=True,
        arithmetic=Arithmetic(activation_bits=6, weight_bits=5, accumulator_bits=11, overflow="wrap"),
    ),
    AcceleratorConfig(
        rows=8, columns=2, activation_scratchpad_bytes=8 * 64, weight_scratchpad_bytes=2 * 64,
        operand_scratchpad_bytes=2 * 16, output_scratchpad_bytes=2 * 40, accumulator_bytes=2 * 8 * 5,
        weight_zero_points=True, packed_multipliers=True, arithmetic=Arithmetic(rounding="double", multiplier_bits=31),
    ),
    AcceleratorConfig(
        rows=3, columns=4, counters=False, weight_zero_points=True, bus_bytes=16,
        arithmetic=Arithmetic(accumulator_bits=14, rounding="floor"),
    ),
    AcceleratorConfig(
        rows=2, columns=10, post_process_lanes=5, weight_zero_points=True,
        arithmetic=Arithmetic(activation_bits=4, weight_bits=8, accumulator_bits=10),
    ),
]  # fmt: skip


def check(graph: Graph, config: AcceleratorConfig, seed: int) -> None:
    inputs = random_inputs(graph, seed)
    codes, counts = run_graph_counts(graph, inputs)
    result = Machine(config).run(compile_graph(graph, config), inputs)
    for name, output in run_graph(graph, inputs).items():
        np.testing.assert_array_equal(result.outputs[name], output, err_msg=name)
    assert {node.name for node in graph.nodes} == set(result.layers)
    for layer, found in result.layers.items():
        np.testing.assert_array_equal(found, codes[layer], err_msg=layer)
    for layer, overflowed in result.counters["overflowed"].items():
        np.testing.assert_array_equal(overflowed, counts[layer].overflows, err_msg=layer)
        np.testing.assert_array_equal(result.counters["clipped"][layer], counts[layer].clips, err_msg=layer)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
@pytest.mark.parametrize("seed", range(16))
def test_products_of_two_inputs(config: AcceleratorConfig, seed: int) -> None:
    check(product_graph(seed, config.arithmetic, most=21), config, seed)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
@pytest.mark.parametrize(
    ("tokens", "heads", "depth"), [(5, (2, 2), 4), (9, (4, 2), 3), (1, (2, 1), 6), (13, (1, 1), 8)]
)
def test_attention(config: AcceleratorConfig, tokens: int, heads: tuple[int, int], depth: int) -> None:
    check(attention_graph(tokens, config.arithmetic, tokens=tokens, heads=heads, depth=depth), config, 5)


def test_heads_come_side_by_side_without_a_copy() -> None:
    """Behind the last product: a transpose and a reshape for the projection, which are views of its codes."""
    config = CONFIGS[0]
    program = compile_graph(attention_graph(3, config.arithmetic, tokens=5, heads=(2, 2), depth=4), config)
    moves = {"mixed/turned", "mixed/rows", "q/turned", "k/turned", "v/turned"}
    assert moves <= set(program.tensors) and moves.isdisjoint(program.layers)
    assert program.tensors["mixed"].steps == (4, 8, 1)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
def test_operands_that_lie_anywhere(config: AcceleratorConfig) -> None:
    """One tensor as both; a constant; one whose rows and columns both lie apart; results that are parts of another."""
    arithmetic, rng = config.arithmetic, np.random.default_rng(3)
    low, high = common_range(arithmetic)
    legal = {"y_min": low, "y_max": high}
    x = Tensor(**fields("x", (3, 5, 4), 1, arithmetic) | legal)
    codes = rng.integers(low, high + 1, (1, 4, 7)).astype(np.int8)
    constant = ConstantTensor(**fields("c", codes.shape, -2, arithmetic) | legal, inputs=(), codes=codes)
    turned = Transpose(**fields("turned", (5, 4, 3), 1, arithmetic) | legal, inputs=("x",), axes=(0, 2, 3, 1))
    nodes: list[Node] = [constant, turned]

    def product(name: str, inputs: tuple[str, str], shape: tuple[int, ...], depth: int, **turns: bool) -> None:
        made = fields(name, shape, 3, arithmetic) | {"inputs": inputs, "depth": depth}
        nodes.append(MatrixProduct(**made, **factors(depth, arithmetic), **turns))

    product("self", ("x", "x"), (3, 5, 5), 4, b_transposed=True)
    product("again", ("x", "x"), (3, 4, 4), 5, a_transposed=True)
    product("with", ("x", "c"), (3, 5, 7), 4)
    product("apart", ("turned", "turned"), (5, 4, 4), 3, b_transposed=True)
    joined = fields("joined", (3, 5, 12), 3, arithmetic)
    nodes.append(Concat(**joined, inputs=("self", "with"), axis=3))
    outputs = {name: name for name in ("again", "apart", "joined")}
    check(Graph(inputs=(x,), nodes=tuple(nodes), outputs=outputs, arithmetic=arithmetic), config, 1)


@pytest.mark.parametrize("counters", [False, True])
def test_one_row_times_a_matrix_that_lies_transposed(counters: bool) -> None:
    """Of which nothing is copied where no lane counts: as the matrix times a column."""
    config = replace(CONFIGS[0], counters=counters)
    for seed in range(40):
        graph = product_graph(seed, config.arithmetic, most=17)
        (node,) = graph.nodes
        if node.shape[-2] == 1 < node.shape[-1] and node.b_transposed and node.depth > 1:
            check(graph, config, seed)
            opcodes = {instruction.opcode for instruction in compile_graph(graph, config).instructions}
            assert (Opcode.REDUCE in opcodes) == counters


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.rows}x{config.columns}")
def test_tokens_suffice_in_any_order_of_the_units(config: AcceleratorConfig) -> None:
    """Tables are loaded again and again while others are looked up; heads wait for their copies."""
    for seed, (heads, tokens) in enumerate([((2, 2), 9), ((4, 2), 6)]):
        graph = attention_graph(seed, config.arithmetic, tokens=tokens, heads=heads, depth=5)
        first_channels = {"channels_last": False}
        graph = replace(
            graph,
            inputs=tuple(replace(tensor, **first_channels) for tensor in graph.inputs),
            nodes=tuple(replace(node, **first_channels) for node in graph.nodes),
        )
        interpreted.check(graph, config, np.random.default_rng(seed), orders=4)


def test_zero_points_need_their_hardware() -> None:
    arithmetic = Arithmetic()
    config = AcceleratorConfig(arithmetic=arithmetic)
    graph = product_graph(1, arithmetic)
    zero = graph.inputs[1].zero_point
    assert zero
    message = f"^layer 'product': its second operand 'b' has the zero point {zero}, for which the config needs weight_z"
    with pytest.raises(CompileError, match=message):
        compile_graph(graph, config)
    check(product_graph(1, arithmetic, zero_points=False), config, 2)


def test_codes_beyond_the_weights_bits_are_refused() -> None:
    arithmetic = Arithmetic(weight_bits=4)
    graph = product_graph(1, arithmetic, zero_points=False)
    graph = replace(graph, inputs=(graph.inputs[0], replace(graph.inputs[1], y_max=8)))
    message = r"^layer 'product': the codes of its second operand 'b' are weights, .* from -8 to 7 \(weight_bits = 4\)"
    with pytest.raises(CompileError, match=message):
        compile_graph(graph, AcceleratorConfig(arithmetic=arithmetic))
