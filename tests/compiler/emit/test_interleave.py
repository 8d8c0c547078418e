"""Layers side by side: whose blocks may come between whose, and that none comes before its data."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from compiler import compile_graph
from compiler.emit.schedule.interleave import interleave
from compiler.emit.schedule.operation import Access, Buffer, Memory, Operation, Transfer
from emulator import AcceleratorConfig, MaxPool, Tensor
from emulator.instructions import Opcode, Unit
from emulator.machine import Machine
from tests.compiler.emit.test_placement import SAME, convolution, graph
from tests.compiler.interpreted import check, random_inputs

CONFIG = AcceleratorConfig()
MAP = 1 << 16
"""Bytes from layer to layer's results."""


def layer(number: int, blocks: int, array: bool, reads: tuple[int, ...], rng: np.random.Generator) -> list[Operation]:
    """Blocks that read some earlier layers' results, the same share of each as they are of their own layer."""
    made = []
    size = 64 * int(rng.integers(1, 9))
    adds = int(rng.integers(5) == 0)
    for index in range(blocks):
        x, y = Buffer(Memory.ACTIVATION if array else Memory.OPERAND, 4), Buffer(Memory.OUTPUT, 4)
        own = [
            Operation(
                Opcode.LOAD,
                {"lines": 1, "pixels": 8, "pixel_bytes": 64},
                accesses=(Access(x, 0, 1, 4, 4, True),),
                transfer=Transfer(source * MAP, 1, 0, 1, 0, (index + 1) * MAP // 2 // blocks),
            )
            for source in reads
        ]
        sums = Buffer(Memory.ACCUMULATOR, 4)
        window = dict.fromkeys(("kernel_height", "kernel_width", "channel_rows", "output_height"), 1)
        window["output_width"] = size
        if array:
            own.append(Operation(Opcode.CONVOLVE, window, accesses=(Access(sums, 0, 1, 4, 4, True),)))
        opcode, fields = (Opcode.REQUANTIZE, {"count": size}) if array else (Opcode.REDUCE, window)
        source = sums if array else x
        own.append(Operation(opcode, {**fields, "add": adds}, accesses=(Access(source, 0, 1, 4, 4),)))
        own.append(
            Operation(
                Opcode.STORE,
                {"lines": 1, "pixels": 8, "pixel_bytes": 64},
                accesses=(Access(y, 0, 1, 4, 4),),
                transfer=Transfer(number * MAP + index * MAP // 2 // blocks, 1, 0, 1, 0, MAP // 2 // blocks),
            )
        )
        for operation in own:
            operation.layer, operation.block = number, 100 * number + index
        made += own
    return made


def assert_legal(natural: list[Operation], order: list[Operation]) -> None:
    """Layers keep their order, blocks stay together, one of three that mix uses the array, LOADs follow their data."""
    assert sorted(map(id, natural)) == sorted(map(id, order))
    numbers = sorted({o.layer for o in natural})
    for number in numbers:
        assert [o for o in natural if o.layer == number] == [o for o in order if o.layer == number]
    blocks = [block for block, _ in groupby(order, lambda o: o.block)]
    assert len(blocks) == len(set(blocks))
    place = {id(o): n for n, o in enumerate(order)}
    span = {number: [place[id(o)] for o in natural if o.layer == number] for number in numbers}
    for one in numbers:
        for other in numbers:
            if one < other and min(span[other]) < max(span[one]):
                assert other <= one + 2
                assert not all(any(o.unit == Unit.CONVOLVE for o in natural if o.layer == n) for n in (one, other))
                assert not all(any(o.fields.get("add") for o in natural if o.layer == n) for n in (one, other))
    for n, operation in enumerate(natural):
        if operation.opcode == Opcode.LOAD:
            read = range(operation.transfer.address, operation.transfer.address + operation.transfer.pixel_bytes)
            for writer in natural[:n]:
                if writer.opcode == Opcode.STORE and writer.transfer.address in read:
                    assert place[id(writer)] < place[id(operation)]


@pytest.mark.parametrize("seed", range(20))
def test_orders_of_random_layers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    natural: list[Operation] = []
    for number in range(6):
        reads = tuple({int(rng.integers(max(number - 3, 0), number)) for _ in range(2)}) if number else ()
        natural += layer(number, int(rng.integers(1, 9)), bool(rng.integers(2)), reads, rng)
    assert_legal(natural, interleave(natural, CONFIG, 7 * MAP))
    assert interleave(natural, CONFIG, 7 * MAP, apart=range(6)) == natural


@pytest.mark.parametrize("array_first", [True, False])
def test_a_layer_begins_when_its_first_rows_are_there(array_first: bool) -> None:
    rng = np.random.default_rng(0)
    natural = layer(0, 8, array_first, (), rng) + layer(1, 8, not array_first, (0,), rng)
    order = interleave(natural, CONFIG, 2 * MAP)
    assert_legal(natural, order)
    assert [block for block, _ in groupby(order, lambda o: o.layer)].count(1) > 3


def test_a_pool_runs_beside_its_convolution() -> None:
    """The same program with the pool behind the convolution takes longer; codes and counts are the operators'."""
    config = AcceleratorConfig(
        rows=8, columns=8, activation_scratchpad_bytes=8 * 200, operand_scratchpad_bytes=8 * 120,
        output_scratchpad_bytes=8 * 160, accumulator_bytes=8 * 4 * 64,
    )  # fmt: skip
    source = Tensor(name="input", shape=(16, 16, 8), **SAME)
    node = convolution("a", source, 16)
    pool = MaxPool(name="pool", shape=(8, 8, 16), inputs=("a",), **SAME, kernel=(2, 2), strides=(2, 2))
    net = graph(source, node, pool)
    rng = np.random.default_rng(0)
    program = check(net, config, rng, orders=3)
    runs = [name for name, _ in groupby(program.layers)]
    assert runs.count("pool") > 2 and runs.count("a") > 2
    alone = [
        Machine(config).run(compile_graph(part, config), random_inputs(rng, part)).cycles
        for part in (graph(source, node), graph(Tensor(name="a", shape=node.shape, **SAME), pool))
    ]
    assert Machine(config).run(program, random_inputs(rng, net)).cycles < sum(alone) - alone[1] // 2


@pytest.mark.parametrize(("channels", "blocks"), [(8, 3), (16, 2), (24, 1)])
def test_as_many_blocks_are_stored_together_as_a_burst_needs_to_keep_up_with_the_array(
    channels: int, blocks: int
) -> None:
    """A burst takes 2½ cycles (16 are under way, the latency is 32), a block takes the array `channels` / 8 a pixel."""
    source = Tensor(name="input", shape=(12, 12, channels), **SAME)
    program = compile_graph(graph(source, convolution("a", source, 48, size=1)), replace(CONFIG, bus_bytes=8))
    stored = {i["pixel_bytes"] for i in program.instructions if i.opcode == Opcode.STORE and i["pixels"] > 1}
    assert stored == {8 * blocks}
