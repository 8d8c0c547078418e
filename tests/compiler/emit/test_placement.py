"""What lies where: moving layers that cost nothing, fused layers, and K packing with its borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph
from compiler.emit.cut.packing import packs
from compiler.emit.fuse import fuse
from emulator import (
    AcceleratorConfig,
    Add,
    Arithmetic,
    Concat,
    Convolution,
    Graph,
    Linear,
    LookupTable,
    Node,
    Pad,
    Reshape,
    Slice,
    Tensor,
    Transpose,
)
from emulator.instructions import Mode, Opcode
from emulator.program import Program
from tests.compiler.interpreted import check

CONFIG = AcceleratorConfig(rows=8, columns=8)
SAME = {"scale": 1.0, "zero_point": -3}


def convolution(name: str, source: Tensor, channels: int, size: int = 3, strides: int = 1) -> Convolution:
    """A convolution that keeps the map's size, but for its strides."""
    rng = np.random.default_rng(len(name))
    height, width, depth = source.shape
    before = (size - 1) // 2
    return Convolution(
        name=name, shape=(-(-height // strides), -(-width // strides), channels), inputs=(source.name,), **SAME,
        weight=rng.integers(-128, 128, (channels, size, size, depth), dtype=np.int8), bias=np.zeros(channels, np.int64),
        multiplier=np.full(channels, 1 << 23), shift=np.full(channels, 34), strides=(strides, strides),
        padding=(before, before, size - 1 - before, size - 1 - before),
    )  # fmt: skip


def table(name: str, source: Tensor) -> LookupTable:
    codes = np.random.default_rng(0).permutation(np.arange(-128, 128)).astype(np.int8)
    return LookupTable(name=name, shape=source.shape, inputs=(source.name,), **SAME, table=codes)


def add(name: str, a: Tensor, b: Tensor, subtract: bool = False) -> Add:
    return Add(
        name=name, shape=a.shape, inputs=(a.name, b.name), **SAME, a_multiplier=3 << 20, b_multiplier=5 << 20, shift=23,
        subtract=subtract,
    )  # fmt: skip


def graph(source: Tensor, *nodes: Node) -> Graph:
    return Graph(inputs=(source,), nodes=nodes, outputs={"y": nodes[-1].name}, arithmetic=Arithmetic())


def reduces(program: Program) -> list[Mode]:
    return [Mode(i["mode"]) for i in program.instructions if i.opcode == Opcode.REDUCE]


SOURCE = Tensor(name="input", shape=(6, 7, 8), **SAME)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_producers_store_into_the_concat(axis: int) -> None:
    a, b = convolution("a", SOURCE, 8), convolution("bb", SOURCE, 8)
    shape = [6, 7, 8]
    shape[axis - 1] *= 2
    both = Concat(name="both", shape=tuple(shape), inputs=("a", "bb"), **SAME, axis=axis)
    program = check(graph(SOURCE, a, b, both, convolution("last", both, 5)), CONFIG, np.random.default_rng(0))
    assert reduces(program) == []


def test_a_tensor_twice_in_a_concat_is_copied_once() -> None:
    a = convolution("a", SOURCE, 8)
    both = Concat(name="both", shape=(6, 7, 16), inputs=("a", "a"), **SAME, axis=3)
    assert reduces(check(graph(SOURCE, a, both), CONFIG, np.random.default_rng(0))) == [Mode.FIRST]


def test_a_pad_is_a_border_that_the_image_holds() -> None:
    a = convolution("a", SOURCE, 8)
    pad = Pad(name="wide", shape=(9, 10, 8), inputs=("a",), **SAME, padding=(1, 2, 2, 1))
    program = check(graph(SOURCE, a, pad, convolution("last", pad, 3)), CONFIG, np.random.default_rng(0))
    assert reduces(program) == []
    assert program.read(program.image, "wide")[0, :, 0].max() == -3


def test_slices_and_transposes_of_whole_pixels_are_views() -> None:
    a = convolution("a", SOURCE, 8)
    part = Slice(name="part", shape=(6, 3, 8), inputs=("a",), **SAME, axis=2, start=1, stop=7, step=2)
    turned = Transpose(name="turned", shape=(3, 6, 8), inputs=("part",), **SAME, axes=(0, 2, 1, 3))
    channels = Slice(name="channels", shape=(3, 6, 5), inputs=("turned",), **SAME, axis=3, start=2, stop=7)
    last = convolution("last", channels, 3)
    assert reduces(check(graph(SOURCE, a, part, turned, channels, last), CONFIG, np.random.default_rng(0))) == []


def test_other_moves_are_copies() -> None:
    a = convolution("a", SOURCE, 8)
    part = Slice(name="part", shape=(6, 7, 4), inputs=("a",), **SAME, axis=3, start=0, stop=8, step=2)
    turned = Transpose(name="turned", shape=(4, 6, 7), inputs=("part",), **SAME, axes=(0, 3, 1, 2))
    modes = reduces(check(graph(SOURCE, a, part, turned), CONFIG, np.random.default_rng(0)))
    assert modes and set(modes) == {Mode.FIRST}


def test_what_a_reshape_reads_is_contiguous() -> None:
    part = Slice(name="part", shape=(6, 7, 3), inputs=("input",), **SAME, axis=3, start=2, stop=5)
    flat = Reshape(name="flat", shape=(126,), inputs=("part",), **SAME)
    program = check(graph(SOURCE, part, flat, table("t", flat)), CONFIG, np.random.default_rng(0))
    assert program.tensors["part"].contiguous and program.tensors["flat"].address == program.tensors["part"].address


@pytest.mark.parametrize("order", [("a", "input"), ("input", "a")])
def test_a_residual_add_and_a_table_run_behind_their_convolution(order: tuple[str, str]) -> None:
    a = convolution("a", SOURCE, 8)
    tensors = {"a": a, "input": SOURCE}
    both = add("sum", tensors[order[0]], tensors[order[1]])
    program = check(graph(SOURCE, a, both, table("t", both)), CONFIG, np.random.default_rng(0))
    assert reduces(program) == [] and set(program.tensors) == {"t"}
    assert {block.layer for block in program.counters} == {"a"} and {b.adder for b in program.counters} == {"sum"}


def test_a_difference_is_fused_only_where_the_convolution_comes_first() -> None:
    a = convolution("a", SOURCE, 8)
    first = check(graph(SOURCE, a, add("d", a, SOURCE, subtract=True)), CONFIG, np.random.default_rng(0))
    assert reduces(first) == []
    second = check(graph(SOURCE, a, add("d", SOURCE, a, subtract=True)), CONFIG, np.random.default_rng(0))
    assert set(reduces(second)) == {Mode.FIRST}


def test_of_two_convolutions_the_later_one_takes_the_add() -> None:
    a, b = convolution("a", SOURCE, 8), convolution("bb", SOURCE, 8)
    net = graph(SOURCE, a, b, add("sum", a, b))
    assert [[layer.name for layer in step.layers] for step in fuse(net)] == [["a"], ["bb", "sum"]]
    check(net, CONFIG, np.random.default_rng(0))


def test_codes_that_others_read_or_the_user_sees_are_not_fused_away() -> None:
    a = convolution("a", SOURCE, 8)
    net = graph(SOURCE, a, add("sum", a, SOURCE), convolution("other", a, 2))
    assert all(len(step.layers) == 1 for step in fuse(net))
    shown = replace(graph(SOURCE, a, table("t", a)), outputs={"y": "t", "z": "a"})
    assert all(len(step.layers) == 1 for step in fuse(shown))


@pytest.mark.parametrize(("size", "strides", "depth"), [(7, 2, 3), (3, 1, 1), (4, 3, 2), (2, 1, 3)])
def test_k_is_packed_across_kernel_columns(size: int, strides: int, depth: int) -> None:
    """The window's columns become channels, and padding the border that the image holds."""
    source = Tensor(name="input", shape=(12, 11, depth), **SAME)
    node = convolution("a", source, 9, size, strides)
    assert packs(node, 8)
    program = check(graph(source, node, convolution("b", node, 4)), CONFIG, np.random.default_rng(0))
    first = next(i for i in program.instructions if i.opcode == Opcode.CONVOLVE)
    assert first["kernel_width"] == 1 and first["channel_rows"] == -(-size * depth // 8)
    region = program.inputs["input"]
    line = np.frombuffer(program.image, np.int8)[region.address - (size - 1) // 2 * depth : region.address]
    assert (line == -3).all()


def test_one_map_serves_packed_and_other_readers() -> None:
    source = Tensor(name="input", shape=(9, 9, 3), **SAME)
    wide, narrow = convolution("wide", source, 4, 5), convolution("narrow", source, 4, 3, 2)
    flat = Reshape(name="flat", shape=(243,), inputs=("input",), **SAME)
    head = Linear(
        name="head", shape=(2,), inputs=("flat",), **SAME, weight=np.ones((243, 2), np.int8),
        bias=np.zeros(2, np.int64), multiplier=np.full(2, 1 << 23), shift=np.full(2, 30),
    )  # fmt: skip
    net = graph(source, wide, narrow, convolution("point", source, 4, 1))
    program = check(net, CONFIG, np.random.default_rng(0))
    assert not program.inputs["input"].contiguous
    program = check(graph(source, wide, narrow, flat, head), CONFIG, np.random.default_rng(0))
    assert program.inputs["input"].contiguous, "a reshape's bytes have no border, so nothing is packed"
    assert max(i["kernel_width"] for i in program.instructions if i.opcode == Opcode.CONVOLVE) == 5
    assert compile_graph(net, CONFIG).macs == sum(
        node.weight.size * node.shape[0] * node.shape[1] for node in net.nodes if isinstance(node, Convolution)
    )


def test_k_is_packed_across_kernel_rows_where_no_sum_can_overflow() -> None:
    """An input of the graph is stored column by column; its layer's residual add and both strides turn with it."""
    source = Tensor(name="input", shape=(23, 10, 1), **SAME)
    rng = np.random.default_rng(0)
    node = Convolution(
        name="a", shape=(12, 5, 9), inputs=("input",), **SAME, weight=rng.integers(-128, 128, (9, 8, 3, 1), np.int8),
        bias=rng.integers(-900, 900, 9), multiplier=np.full(9, 1 << 23), shift=np.full(9, 34), strides=(2, 2),
        padding=(3, 1, 4, 0),
    )  # fmt: skip
    other = Tensor(name="other", shape=node.shape, **SAME)
    last = convolution("b", node, 4)
    wide = Arithmetic(accumulator_bits=24)
    net = replace(graph(source, node, add("sum", node, other), last), inputs=(source, other), arithmetic=wide)
    net = replace(net, nodes=(*net.nodes[:2], replace(last, inputs=("sum",))))
    program = check(net, replace(CONFIG, arithmetic=wide), rng)
    first = next(i for i in program.instructions if i.opcode == Opcode.CONVOLVE)
    assert (first["kernel_height"], first["kernel_width"], first["channel_rows"]) == (3, 1, 1)
    region = program.inputs["input"]
    assert region.steps == (1, 3 + 23 + 4, 1)
    assert (np.frombuffer(program.image, np.int8)[region.address - 3 : region.address] == -3).all()
    for overflow in ("wrap", "saturate"):  # of sums that overflow the order counts
        narrow = Arithmetic(accumulator_bits=17, overflow=overflow)
        program = check(replace(net, arithmetic=narrow), replace(CONFIG, arithmetic=narrow), rng)
        first = next(i for i in program.instructions if i.opcode == Opcode.CONVOLVE)
        assert (first["kernel_height"], first["kernel_width"]) == (8, 1)


@pytest.mark.parametrize(("channels", "outputs"), [(4, 2), (8, 1), (3, 2)])
@pytest.mark.parametrize("fused", [False, True])
def test_neighbouring_outputs_are_channels_of_one_where_columns_would_stay_empty(
    channels: int, outputs: int, fused: bool
) -> None:
    """12 pixels of 4 channels are 6 of 8; counts are those of the channels. A residual add and a table come along."""
    source = Tensor(name="input", shape=(9, 24, 1), **SAME)
    node = convolution("a", source, channels, 5, 2)
    node = replace(node, bias=np.full(channels, 30000), weight_zero_point=np.arange(channels))
    other, last = Tensor(name="other", shape=node.shape, **SAME), convolution("b", node, 4)
    nodes = [node, last]
    if fused:
        nodes = [node, both := add("sum", node, other), codes := table("codes", both), replace(last, inputs=("codes",))]
        assert codes.shape == node.shape
    narrow = Arithmetic(accumulator_bits=16, overflow="saturate")
    net = replace(graph(source, *nodes), inputs=(source, other) if fused else (source,), arithmetic=narrow)
    program = check(net, replace(CONFIG, arithmetic=narrow, weight_zero_points=True), np.random.default_rng(3))
    first = next(i for i in program.instructions if i.opcode == Opcode.CONVOLVE)
    assert first["output_width"] == 12 // outputs


def test_neighbouring_outputs_are_channels_of_one_where_bursts_would_be_the_bound() -> None:
    """A map that is cut in tiles, whose pixels take about as long on the bus as in the array."""
    source = Tensor(name="input", shape=(24, 24, 1), **SAME)
    small = replace(CONFIG, accumulator_bytes=8 * 4 * 64)
    for strides, together in ((2, 3), (1, 1)):
        net = graph(source, convolution("a", source, 16, 3, strides))
        for config in (small, CONFIG):
            program = check(net, config, np.random.default_rng(0))
            first = next(i for i in program.instructions if i.opcode == Opcode.CONVOLVE)
            assert first["output_width"] == 24 // strides // (together if config is small else 1)


def test_transposes_at_the_doors_are_strides() -> None:
    """The host stores an input as the transpose behind it has it, and reads an output that a transpose shows."""
    x = Tensor(name="x", shape=(6, 5), **SAME)
    moved = {"scale": 1.0, "zero_point": -3, "axes": (0, 2, 1)}
    first = Transpose(name="first", shape=(5, 6), inputs=("x",), **moved)
    node = convolution("layer", Tensor(name="first", shape=(1, 5, 6), **SAME), 4, size=1)
    node = replace(node, shape=(5, 4))
    last = Transpose(name="last", shape=(4, 5), inputs=("layer",), **moved)
    graph = Graph(inputs=(x,), nodes=(first, node, last), outputs={"y": "last"}, arithmetic=Arithmetic())
    program = compile_graph(graph, CONFIG)
    assert program.inputs["x"].steps == (1, 6) and program.tensors["last"].steps == (1, 4)
    assert set(program.layers) == {"layer", ""}
    check(graph, CONFIG, np.random.default_rng(0))
