"""The structure digest: equal for trainings that differ in values, different wherever cycles can be."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from codesign.networks import NETWORKS, NetworkBuilder
from codesign.study.evaluation.structure import VALUES, structure
from compiler import CompileError, compile_graph
from emulator import (
    AcceleratorConfig,
    Add,
    Arithmetic,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    Machine,
    Program,
    Rescale,
    Tensor,
)
from emulator.graph import Node
from emulator.instructions import Opcode
from tests.graphs import random_arithmetic, random_config, random_graph, version_2_arithmetic, with_version_2

OPERANDS = {
    "zero_point", "y_min", "y_max", "input_zero_point", "second_zero_point", "multiplier", "shift", "a_multiplier",
    "a_shift", "b_multiplier", "b_shift", "a_zero_point", "b_zero_point",
}  # fmt: skip
"""Fields of instructions that lanes compute with; all others are addresses, sizes, modes and tokens."""


def other_values(graph: Graph, rng: np.random.Generator) -> Graph:
    """The same layers with other weights, biases, multipliers, zero points and clamps, as another training has them."""
    low, high = graph.arithmetic.activation_range

    def mirrored(tensor: Tensor) -> dict[str, float | int]:
        clamp = {"y_min": low + high - tensor.y_max, "y_max": low + high - tensor.y_min}
        return {"scale": tensor.scale * 1.25, "zero_point": low + high - tensor.zero_point, **clamp}

    def node(old: Node) -> Node:
        changes: dict[str, object] = mirrored(old)
        if isinstance(old, Convolution | Linear):
            least, most = graph.arithmetic.weight_range
            changes["weight"] = rng.integers(least, most + 1, old.weight.shape, np.int8)
            changes["bias"] = rng.permutation(old.bias)
            changes["multiplier"] = rng.permutation(old.multiplier)
        if isinstance(old, AveragePool) and not old.raw:
            changes["multiplier"] = np.maximum(old.multiplier - (old.multiplier > 1), 1)
        if isinstance(old, Add):
            changes["a_multiplier"] = max(old.a_multiplier - 1, 1)
        if isinstance(old, Rescale):
            changes["multiplier"] = max(old.multiplier - 1, 1)
        return replace(old, **changes)

    inputs = tuple(replace(tensor, **mirrored(tensor)) for tensor in graph.inputs)
    return replace(graph, inputs=inputs, nodes=tuple(map(node, graph.nodes)))


def shown(program: Program) -> list[tuple[Opcode, dict[str, int]]]:
    """The instructions without what lanes compute with."""
    return [
        (item.opcode, {name: value for name, value in item.fields.items() if name not in OPERANDS})
        for item in program.instructions
    ]


def cycles(program: Program, config: AcceleratorConfig) -> int:
    (record,) = Machine(config).execute([program.image], program.program_address, program.program_bytes)
    return record.cycles


@pytest.mark.parametrize("seed", range(24))
def test_other_values_have_the_same_digest_and_cycles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    second = seed % 3 == 0
    arithmetic = (version_2_arithmetic if second else random_arithmetic)(rng)
    graph = random_graph(rng, arithmetic)
    graph = with_version_2(rng, graph) if second else graph
    rows, columns = (int(rng.integers(1, 9)) for _ in range(2))
    config = replace(random_config(rng, arithmetic, rows, columns), weight_zero_points=second, raw_outputs=second)
    other = other_values(graph, rng)
    assert any(not np.array_equal(a.weight, b.weight) for a, b in zip(graph.nodes, other.nodes, strict=True)
               if isinstance(a, Linear))  # fmt: skip
    ours = compile_graph(graph, config)
    assert structure(graph) == structure(other)
    theirs = compile_graph(other, config)
    assert shown(ours) == shown(theirs)
    assert cycles(ours, config) == cycles(theirs, config)
    assert ours.memory_bytes == theirs.memory_bytes


@pytest.mark.parametrize("name", ["ResNet-8", "DS-CNN", "autoencoder"])
def test_two_seeds_of_a_network_have_one_digest_and_the_same_cycles(name: str) -> None:
    arithmetic = Arithmetic(accumulator_bits=24)
    one, two = (NETWORKS[name](arithmetic, seed) for seed in (1, 2))
    assert structure(one) == structure(two)
    config = AcceleratorConfig(rows=16, columns=16, arithmetic=arithmetic)
    programs = compile_graph(one, config), compile_graph(two, config)
    assert programs[0].image != programs[1].image
    assert cycles(programs[0], config) == cycles(programs[1], config)


def test_guessed_scales_have_another_digest_where_adds_become_alike() -> None:
    arithmetic = Arithmetic()
    calibrated, guessed = (NETWORKS["ResNet-8"](arithmetic, 0, images) for images in (1, 0))
    config = AcceleratorConfig(arithmetic=arithmetic)
    counts = [
        sum(item.opcode == Opcode.ADDER for item in compile_graph(graph, config).instructions)
        for graph in (calibrated, guessed)
    ]
    assert counts == [3, 2]
    assert structure(calibrated) != structure(guessed)


def pooled(zero_point: int, multipliers: list[int]) -> Graph:
    arithmetic = Arithmetic(accumulator_bits=14)
    source = Tensor(name="input", shape=(8, 9, 3), scale=0.1, zero_point=zero_point)
    multiplier = np.array([multipliers], np.int64)
    pool = AveragePool(
        name="pool", shape=(1, 2, 3), scale=0.1, zero_point=0, inputs=("input",), kernel=(8, 8), strides=(1, 1),
        multiplier=multiplier, shift=np.full_like(multiplier, 28),
    )  # fmt: skip
    return Graph(inputs=(source,), nodes=(pool,), outputs={"output": "pool"}, arithmetic=arithmetic)


def test_pools_whose_positions_share_a_multiplier_differ_from_those_that_do_not() -> None:
    config = AcceleratorConfig(arithmetic=pooled(0, [5, 5]).arithmetic)
    programs = [compile_graph(pooled(0, multipliers), config) for multipliers in ([5, 5], [7, 7], [5, 7])]
    assert shown(programs[0]) == shown(programs[1]) != shown(programs[2])
    digests = [structure(pooled(0, multipliers)) for multipliers in ([5, 5], [7, 7], [5, 7])]
    assert digests[0] == digests[1] != digests[2]


def test_a_zero_point_that_makes_a_pool_impossible_changes_the_digest() -> None:
    # 64 positions: 64 · (127 − z) leaves 14 bits for z = −1 and stays inside them for z = 0.
    config = AcceleratorConfig(operand_scratchpad_bytes=128, arithmetic=pooled(0, [5, 5]).arithmetic)
    compile_graph(pooled(0, [5, 5]), config)
    with pytest.raises(CompileError, match="its window of 64 positions"):
        compile_graph(pooled(-1, [5, 5]), config)
    assert structure(pooled(0, [5, 5])) != structure(pooled(-1, [5, 5])) == structure(pooled(-2, [5, 5]))


def test_weights_with_zero_points_change_the_digest() -> None:
    graph = NETWORKS["autoencoder"](Arithmetic(), 0, 0)
    zeros = np.zeros(len(graph.nodes[-1].bias), np.int64)
    digests = {
        structure(replace(graph, nodes=(*graph.nodes[:-1], replace(graph.nodes[-1], weight_zero_point=points))))
        for points in (zeros, zeros + 3)
    }
    assert len(digests) == 2


def test_every_field_that_is_no_value_changes_the_digest() -> None:
    arithmetic = Arithmetic()
    net = NetworkBuilder(arithmetic)
    x = net.convolution(net.input((6, 6, 4)), 4, (3, 3), "conv", padding=(1, 1, 1, 1))
    y = net.max_pool(net.add(x, net.convolution(x, 4, (1, 1), "other"), "add"), (2, 2), (2, 2), (0, 0, 0, 0), "max")
    graph = net.finish(net.linear(net.average_pool(y, "pool"), 3, "dense"))
    own, changed = structure(graph), 0
    for index, node in enumerate(graph.nodes):
        for field in fields(node):
            value = getattr(node, field.name)
            if field.name in VALUES or isinstance(value, np.ndarray) or value is None:
                continue
            other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else None
            if isinstance(value, str):
                other = value + "'"
            if isinstance(value, tuple):
                other = (*value[:-1], value[-1] + (1 if isinstance(value[-1], int) else "'"))
            assert other is not None
            nodes = [*graph.nodes]
            nodes[index] = replace(node, **{field.name: other})
            try:
                digest = structure(replace(graph, nodes=tuple(nodes)))
            except KeyError:  # the input of a layer that is not there any more
                continue
            assert digest != own, field.name
            changed += 1
    assert changed > 40
    assert structure(replace(graph, arithmetic=Arithmetic(accumulator_bits=24))) != own
