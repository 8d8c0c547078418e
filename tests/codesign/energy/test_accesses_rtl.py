"""What the instructions say that a program uses is what the ports of the RTL's memories count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.energy.accesses import ACCESSES, access_counts, total_accesses
from codesign.networks.builder import NetworkBuilder
from compiler import compile_graph
from emulator import AcceleratorConfig, Graph, Machine, Program
from emulator.instructions import Opcode
from tests.codesign.energy.access_monitor import rtl_accesses
from tests.end_to_end.configs import VERSION_2
from tests.graphs import with_version_2
from tests.programs import memory_image, random_program
from tests.random_layers import random_add, random_product, random_table

RANDOM_PROGRAMS = 2


def every_operator(config: AcceleratorConfig) -> Graph:
    """Padding, strides, tiles that carry sums on; depthwise, residual sum, table, product, both pools, a matrix."""
    rng = np.random.default_rng(3)
    net = NetworkBuilder(config.arithmetic, images=0)
    x = net.input((3, 5, 7))
    x = net.convolution(x, 5, (3, 3), "padded", padding=(1, 1, 1, 1), strides=(2, 1))
    depthwise = net.convolution(x, 5, (2, 2), "depthwise", padding=(1, 1, 0, 0), groups=5)
    pooled = net.average_pool(net.max_pool(depthwise, (3, 2), (1, 2), (1, 0, 1, 0), "largest"), "average")
    graph = net.finish(net.linear(pooled, 7, "linear"))
    total = random_add(rng, depthwise, x, "sum", config.arithmetic)
    table = random_table(rng, total, "table", config.arithmetic)
    product = random_product(rng, total, table, "product", config.arithmetic)
    outputs = {**graph.outputs, "product": "product"}
    return with_version_2(rng, replace(graph, nodes=(*graph.nodes, total, table, product), outputs=outputs))


def random_programs(config: AcceleratorConfig) -> list[Program]:
    """Instructions with any fields: negative padding, dilation, odd strides, bytes of sums; all run to their HALT."""
    made, rng = list[Program](), np.random.default_rng([7, config.rows])
    while len(made) < RANDOM_PROGRAMS:
        instructions = random_program(rng, config)
        image = memory_image(instructions, rng)
        program = Program(config.hash(), tuple(instructions), image, {}, {}, {}, (), config.columns)
        if not Machine(config).execute([image], program_bytes=program.program_bytes)[0].error:
            made.append(program)
    return made


@pytest.mark.icarus
@pytest.mark.parametrize(("name", "stalls"), [("5x4", 0), ("3x5", 12345)])
def test_counts_are_those_of_the_ports(name: str, stalls: int, tmp_path: Path) -> None:
    from rtl.simulation import ToolError, find_simulator

    try:
        find_simulator("icarus")
    except ToolError as error:
        pytest.skip(str(error))
    config = VERSION_2[name]
    network = compile_graph(every_operator(config), config)
    programs = [network, *random_programs(config)]
    found, runs = rtl_accesses(config, programs, tmp_path, "icarus", stalls)
    expected = [total_accesses(access_counts(program, config)) for program in programs]
    assert [run.registers["error"] for run in runs] == [0] * len(programs)
    assert expected == found
    used = {name for counts in expected for name, count in counts.items() if count}
    assert used == set(ACCESSES)
    assert any(i["carry"] for i in network.instructions if i.opcode == Opcode.CONVOLVE)
