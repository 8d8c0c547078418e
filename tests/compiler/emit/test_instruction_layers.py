"""`Program.layers`: each instruction names the layer whose codes, counters and inputs it moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Graph
from emulator.instructions import COUNTER_ROWS, Opcode
from emulator.program import Program, Region
from tests.end_to_end.configs import CONFIGS
from tests.graphs import ALL_TAPS, random_arithmetic, random_config, random_graph


def fused_into(graph: Graph, program: Program, layer: str) -> set[str]:
    """The layer and those before it that have no codes in memory."""
    found, nodes = set(), {node.name: node for node in graph.nodes}
    waiting = [layer]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [n for n in nodes[name].inputs if n in nodes and n not in program.tensors]
    return found


def holds(region: Region, address: int) -> bool:
    return region.address <= address < region.address + region.size


def check(graph: Graph, config: AcceleratorConfig) -> dict[str, int]:
    """Every address that an instruction moves belongs to its layer; returns how many were looked at, by kind."""
    program = compile_graph(graph, config)
    nodes = {node.name: node for node in graph.nodes}
    regions = {**program.inputs, **program.tensors}
    seen = dict.fromkeys(("load", "store", "counters", "fused"), 0)
    assert len(program.layers) == len(program.instructions)
    assert program.layers[-1] == "" and program.instructions[-1].opcode == Opcode.HALT
    for name, item in zip(program.layers[:-1], program.instructions[:-1], strict=True):
        assert name in program.tensors
        members = fused_into(graph, program, name)
        seen["fused"] += len(members) - 1
        if item.opcode not in (Opcode.LOAD, Opcode.STORE):
            continue
        address = item.fields["memory_address"]
        owners = {other for other, region in regions.items() if holds(region, address)}
        blocks = [
            block
            for block in program.counters
            if block.address <= address < block.address + COUNTER_ROWS * program.columns
        ]
        if item.opcode == Opcode.LOAD:
            sources = {source for member in members for source in nodes[member].inputs}
            assert not owners or owners & sources, (name, owners)
            seen["load"] += bool(owners)
        elif blocks:
            assert {blocks[0].layer, blocks[0].adder} - {"", None} <= members
            seen["counters"] += 1
        else:
            assert name in owners, (name, owners)
            seen["store"] += 1
    return seen


def test_instructions_of_random_graphs_move_their_layers_codes() -> None:
    totals = dict.fromkeys(("load", "store", "counters", "fused"), 0)
    for seed in range(40):
        rng = np.random.default_rng([seed, 13])
        arithmetic = random_arithmetic(rng)
        graph = random_graph(rng, arithmetic)
        for kind, count in check(
            graph, random_config(rng, arithmetic, *rng.integers(1, 9, 2).tolist(), ALL_TAPS)
        ).items():
            totals[kind] += count
    assert min(totals.values()) > 100, totals


def test_loads_of_a_later_layer_stand_in_front_of_an_earlier_ones_instructions() -> None:
    """So a layer is no interval of the program."""
    config = CONFIGS["4x4"]
    graph = random_graph(np.random.default_rng(5), config.arithmetic)
    program = compile_graph(graph, config)
    order = [name for index, name in enumerate(program.layers) if index == 0 or name != program.layers[index - 1]]
    assert len(order) > len(set(order))


def test_a_changed_program_keeps_its_names_and_another_length_is_refused() -> None:
    config = CONFIGS["4x4"]
    program = compile_graph(random_graph(np.random.default_rng(5), config.arithmetic), config)
    changed = program.with_instruction(3, program.instructions[4])
    assert changed.instructions[3] == program.instructions[4] and changed.layers == program.layers
    with pytest.raises(ValueError, match=f"layers must name one for each of {len(program.layers)} instructions, not 1"):
        replace(program, layers=("a",))
    assert replace(program, layers=()).layers == ()
