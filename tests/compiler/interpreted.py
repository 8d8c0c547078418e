"""Compile a graph, run it in the interpreter, compare every layer's codes and counts with the operators'."""

from __future__ import annotations

import numpy as np

from compiler import compile_graph
from emulator import AcceleratorConfig, Graph, run_graph_counts
from emulator.program import Program
from tests.interpreter import run, run_out_of_order


def random_inputs(rng: np.random.Generator, graph: Graph) -> dict[str, np.ndarray]:
    """One sample of codes for every graph input, in the model's layout."""
    made = {}
    for tensor in graph.inputs:
        codes = rng.integers(tensor.y_min, tensor.y_max + 1, (1, *tensor.shape), dtype=np.int8)
        made[tensor.name] = np.ascontiguousarray(np.moveaxis(codes, -1, 1))
    return made


def check(graph: Graph, config: AcceleratorConfig, rng: np.random.Generator, orders: int = 1) -> Program:
    """The program, after it has run in program order and in `orders` random orders of the units."""
    inputs = random_inputs(rng, graph)
    codes, counts = run_graph_counts(graph, inputs)
    program = compile_graph(graph, config)
    image = program.images(inputs)[0]
    memories = [run(config, image, program.program_address)]
    memories += [run_out_of_order(config, image, program.program_address, rng) for _ in range(orders)]
    for memory in memories:
        for layer in program.tensors:
            np.testing.assert_array_equal(program.read(memory, layer), codes[layer], err_msg=layer)
        for layer, (overflowed, clipped) in program.read_counters(memory).items():
            np.testing.assert_array_equal(overflowed, counts[layer].overflows, err_msg=layer)
            np.testing.assert_array_equal(clipped, counts[layer].clips, err_msg=layer)
    return program
