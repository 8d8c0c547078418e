"""Depthwise convolutions in the lanes: programs in the interpreter of instructions against the graph's operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph
from emulator import AcceleratorConfig, Add, Arithmetic, Convolution, Graph, LookupTable, Node, Tensor, run_graph_counts
from emulator.instructions import DEPTHWISE_SUMS, Opcode
from emulator.machine import Machine
from emulator.program import Program
from tests.compiler.emit.test_placement import convolution
from tests.compiler.interpreted import check, random_inputs
from tests.graphs import out_size

TAPS = (1, 3, 9)
SMALL = AcceleratorConfig(
    rows=4, columns=4, operand_scratchpad_bytes=4 * 40, output_scratchpad_bytes=4 * 40, accumulator_bytes=256
)


def in_lanes(taps: int) -> AcceleratorConfig:
    """An array that lanes of so many taps are faster than: with one, only because it is so narrow."""
    return replace(SMALL, depthwise_taps=taps, rows=1 if taps == 1 else 4)


def depthwise(
    rng: np.random.Generator, source: Tensor, arithmetic: Arithmetic, kernel: tuple[int, int], **geometry: object
) -> Convolution:
    """A depthwise layer of random weights whose results spread over the codes."""
    padding, strides, dilations = (
        geometry.get(name, default)
        for name, default in (("padding", (0,) * 4), ("strides", (1, 1)), ("dilations", (1, 1)))
    )
    height, width, channels = source.shape
    shape = (
        out_size(height, kernel[0], strides[0], dilations[0], padding[0], padding[2]),
        out_size(width, kernel[1], strides[1], dilations[1], padding[1], padding[3]),
        channels,
    )
    low, high = arithmetic.weight_range
    weight = rng.integers(low, high + 1, (channels, *kernel, 1), dtype=np.int8)
    zero_point = rng.integers(low, high + 1, channels) if geometry.get("asymmetric") else None
    bits = arithmetic.multiplier_bits
    return Convolution(
        name="depthwise", shape=shape, scale=1.0, zero_point=5, inputs=(source.name,), weight=weight,
        bias=rng.integers(-2000, 2001, channels), multiplier=rng.integers(1 << (bits - 2), 1 << (bits - 1), channels),
        shift=np.full(channels, bits + 6), padding=padding, strides=strides, dilations=dilations, groups=channels,
        weight_zero_point=zero_point,
    )  # fmt: skip


def run(
    config: AcceleratorConfig, shape: tuple[int, int, int], kernel: tuple[int, int], seed: int = 0, **geometry: object
) -> Program:
    """The checked program of one layer."""
    rng = np.random.default_rng(seed)
    source = Tensor(name="input", shape=shape, scale=1.0, zero_point=-3)
    node = depthwise(rng, source, config.arithmetic, kernel, **geometry)
    return check(graph(source, node, arithmetic=config.arithmetic), config, rng)


def graph(source: Tensor, *nodes: Node, arithmetic: Arithmetic) -> Graph:
    return Graph(inputs=(source,), nodes=nodes, outputs={"y": nodes[-1].name}, arithmetic=arithmetic)


def opcodes(program: Program, opcode: Opcode) -> list:
    return [i for i in program.instructions if i.opcode == opcode]


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_geometries(taps: int, overflow: str) -> None:
    """Kernels, strides, dilations and padding of any kind, blocks that are not full, sums that overflow."""
    rng = np.random.default_rng(taps)
    arithmetic = Arithmetic(accumulator_bits=15, overflow=overflow)
    config, met = replace(in_lanes(taps), arithmetic=arithmetic), 0
    for kernel in [(3, 3), (1, 1), (5, 5), (2, 3), (7, 2), (1, 11), (9, 1), (4, 10)]:
        for _ in range(2):
            strides, dilations = rng.integers(1, 4, 2).tolist(), rng.integers(1, 3, 2).tolist()
            extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
            padding = [int(rng.integers(0, extent[axis % 2])) for axis in range(4)]
            shape = (*(e + int(rng.integers(0, 9)) for e in extent), int(rng.integers(2, 12)))
            asymmetric = bool(rng.integers(2))
            program = run(
                replace(config, weight_zero_points=asymmetric), shape, kernel, int(rng.integers(1000)),
                strides=tuple(strides), dilations=tuple(dilations), padding=tuple(padding), asymmetric=asymmetric,
            )  # fmt: skip
            assert bool(opcodes(program, Opcode.DEPTHWISE)) != bool(opcodes(program, Opcode.CONVOLVE))
            met += bool(opcodes(program, Opcode.DEPTHWISE))
    assert met == 16 or (taps == 1 and met >= 6), met


@pytest.mark.parametrize(
    ("taps", "kernel", "dilation"), [(1, (9, 9), 1), (3, (12, 13), 1), (9, (6, 70), 1), (9, (8, 8), 9)]
)
def test_kernels_of_several_instructions(taps: int, kernel: tuple[int, int], dilation: int) -> None:
    """More words than the memory has, or a window that the scratchpad does not hold: sums are carried."""
    config = replace(in_lanes(taps), arithmetic=Arithmetic(accumulator_bits=18, overflow="saturate"))
    shape = tuple(dilation * (k - 1) + 4 for k in kernel)
    program = run(config, (*shape, 6), kernel, dilations=(dilation, dilation), padding=(2, 1, 0, 3))
    made = opcodes(program, Opcode.DEPTHWISE)
    assert any(i["carry"] and i["keep"] for i in made) and any(i["carry"] and not i["keep"] for i in made)
    assert all(i["output_height"] * i["output_width"] <= DEPTHWISE_SUMS for i in made)


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
@pytest.mark.parametrize("taps", [0, *TAPS])
def test_the_machine_between_convolutions(dataflow: str, taps: int) -> None:
    """Operators and machine on layers side by side, whose narrow sums overflow; the lanes are faster than the array."""
    rng = np.random.default_rng(4)
    arithmetic = Arithmetic(accumulator_bits=14, overflow="wrap" if taps in (1, 9) else "saturate")
    config = replace(in_lanes(taps), dataflow=dataflow, arithmetic=arithmetic, counters=taps != 3)
    source = Tensor(name="input", shape=(14, 13, 5), scale=1.0, zero_point=-3)
    wide = replace(convolution("wide", source, 10, size=1), bias=np.arange(10) * 99)
    middle = depthwise(rng, wide, arithmetic, (3, 3), padding=(1, 1, 1, 1), strides=(2, 1))
    net = graph(source, wide, middle, convolution("last", middle, 6, size=1), arithmetic=arithmetic)
    inputs = random_inputs(rng, net)
    codes, counts = run_graph_counts(net, inputs)
    program = compile_graph(net, config)
    result = Machine(config).run(program, inputs)
    for layer in program.tensors:
        np.testing.assert_array_equal(result.layers[layer], codes[layer], err_msg=layer)
    assert sum(int(count.overflows.sum()) for count in counts.values()) > 100
    for layer in result.counters.get("overflowed", {}):
        np.testing.assert_array_equal(result.counters["overflowed"][layer], counts[layer].overflows, err_msg=layer)
        np.testing.assert_array_equal(result.counters["clipped"][layer], counts[layer].clips, err_msg=layer)
    assert (len(opcodes(program, Opcode.DEPTHWISE)) > 0) == (taps > 0)


@pytest.mark.parametrize(("channels", "outputs"), [(16, 16), (13, 14)])
@pytest.mark.parametrize("fused", [False, True])
def test_all_blocks_take_the_channels_that_are_stored_first(channels: int, outputs: int, fused: bool) -> None:
    """Pointwise behind depthwise, piece by piece of K, whose carried sums overflow; with an add and zero points too."""
    rng = np.random.default_rng(7)
    arithmetic = Arithmetic(accumulator_bits=15, overflow="saturate")
    config = AcceleratorConfig(
        rows=4, columns=4, depthwise_taps=9, weight_zero_points=True, arithmetic=arithmetic, bus_bytes=8,
        operand_scratchpad_bytes=4 * 200, output_scratchpad_bytes=4 * 200, accumulator_bytes=15 * 200 // 2,
    )  # fmt: skip
    source = Tensor(name="input", shape=(7, 6, channels), scale=1.0, zero_point=-3)
    first = depthwise(rng, source, arithmetic, (3, 3), padding=(1, 1, 1, 1))
    point = replace(convolution("point", first, outputs, size=1), weight_zero_point=rng.integers(-9, 9, outputs))
    nodes, inputs = [first, point], [source]
    if fused:
        inputs.append(Tensor(name="other", shape=point.shape, scale=1.0, zero_point=3))
        nodes.append(
            Add(
                name="sum", shape=point.shape, scale=1.0, zero_point=0, inputs=("point", "other"),
                a_multiplier=3 << 20, b_multiplier=5 << 20, shift=23,
            )
        )  # fmt: skip
    program = check(replace(graph(source, *nodes, arithmetic=arithmetic), inputs=tuple(inputs)), config, rng)
    pieces = [(i["carry"], i["further_blocks"] + 1) for i in opcodes(program, Opcode.CONVOLVE)]
    blocks = -(-outputs // 4)
    assert pieces[0][0] == 0 and pieces[0][1] > 1, "no block is finished before the next one begins"
    assert sum(count for carry, count in pieces if not carry) == blocks, "each block begins once"
    assert sum(count for carry, count in pieces if carry) >= blocks // 2, "and goes on with the later channels"


@pytest.mark.parametrize("taps", TAPS)
@pytest.mark.parametrize(
    ("together", "kernel", "padding", "stride", "dilation"),
    [
        (2, (3, 3), (1, 1, 1, 1), 1, 1),
        (4, (3, 3), (0, 1, 2, 0), 2, 1),
        (2, (1, 5), (0, 3, 0, 4), 1, 2),
        (4, (2, 6), (1, 5, 0, 3), 1, 1),
    ],
)
def test_neighbouring_outputs_side_by_side(
    taps: int, together: int, kernel: tuple[int, int], padding: tuple[int, ...], stride: int, dilation: int
) -> None:
    """Few channels: the lanes have a row of several outputs, behind an input and behind the array's results."""
    rng = np.random.default_rng(taps)
    channels, asymmetric = 2, together == 4
    config = replace(
        in_lanes(taps), columns=together * channels, weight_zero_points=asymmetric, operand_scratchpad_bytes=1600
    )
    extent = (kernel[1] - 1) * dilation + 1 - padding[1] - padding[3]
    source = Tensor(name="input", shape=(7, 8 * together - 1 + extent, channels), scale=1.0, zero_point=-3)
    geometry = {"padding": padding, "strides": (stride, 1), "dilations": (1, dilation), "asymmetric": asymmetric}
    first = replace(depthwise(rng, source, config.arithmetic, kernel, **geometry), name="first")
    program = check(graph(source, first, arithmetic=config.arithmetic), config, rng)
    made = opcodes(program, Opcode.DEPTHWISE)
    outputs = first.shape[0] * first.shape[1]
    assert sum(i["output_height"] * i["output_width"] for i in made) == outputs // together
    wide = convolution("wide", source, channels, size=1)
    behind = depthwise(rng, wide, config.arithmetic, kernel, **geometry)
    last = convolution("last", behind, 6, size=1)
    check(graph(source, wide, behind, last, arithmetic=config.arithmetic), config, rng)
    narrow = replace(config, arithmetic=Arithmetic(accumulator_bits=15))
    overflowing = run(narrow, source.shape, kernel, padding=padding, strides=(stride, 1), dilations=(1, dilation))
    assert sum(i["output_height"] * i["output_width"] for i in opcodes(overflowing, Opcode.DEPTHWISE)) == outputs, (
        "sums that may overflow keep their order"
    )


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_maps_between_depthwise_and_pointwise_are_stored_by_blocks(dataflow: str) -> None:
    """Blocks of channels one after the other: they are loaded and stored in one burst each, and read as any other."""
    rng = np.random.default_rng(3)
    config = AcceleratorConfig(
        rows=4, columns=4, dataflow=dataflow, depthwise_taps=9,
        operand_scratchpad_bytes=4 * 200, output_scratchpad_bytes=4 * 600, accumulator_bytes=4 * 4 * 400,
    )  # fmt: skip
    source = Tensor(name="input", shape=(6, 7, 12), scale=1.0, zero_point=-3)
    first = replace(depthwise(rng, source, config.arithmetic, (3, 3), padding=(1, 1, 1, 1)), name="first")
    wide = convolution("wide", first, 16, size=1)
    second = depthwise(rng, wide, config.arithmetic, (3, 3), padding=(1, 1, 1, 1))
    program = check(
        graph(source, first, wide, second, convolution("last", second, 8, size=1), arithmetic=config.arithmetic),
        config,
        rng,
    )
    blocks = {name: region.block for name, region in program.tensors.items()}
    assert blocks == {"first": 4, "wide": 4, "depthwise": 4, "last": 0}
    region = program.tensors["first"]
    codes = rng.integers(-128, 128, (3, 6, 7, 4), dtype=np.int8)
    memory = bytes(region.address) + codes.tobytes()
    np.testing.assert_array_equal(region.values(memory), np.concatenate(list(codes), axis=-1))
    assert region.size == codes.size and not region.contiguous
    stores = [i for i in opcodes(program, Opcode.STORE) if i["pixel_bytes"] == 6 * 7 * 4]
    assert len(stores) == 3 + 4 + 4, "each block is one run of bytes"


def test_a_table_runs_behind_and_an_add_for_itself() -> None:
    rng = np.random.default_rng(1)
    config = replace(SMALL, depthwise_taps=9)
    source = Tensor(name="input", shape=(7, 6, 6), scale=1.0, zero_point=-3)
    node = depthwise(rng, source, config.arithmetic, (3, 3), padding=(1, 1, 1, 1))
    table = LookupTable(
        name="table", shape=node.shape, scale=1.0, zero_point=0, inputs=(node.name,),
        table=rng.permutation(np.arange(-128, 128)).astype(np.int8),
    )  # fmt: skip
    program = check(graph(source, node, table, arithmetic=config.arithmetic), config, rng)
    assert all(i["table"] for i in opcodes(program, Opcode.DEPTHWISE)) and not opcodes(program, Opcode.REDUCE)
    other = Tensor(name="other", shape=node.shape, scale=1.0, zero_point=3)
    both = Add(
        name="sum", shape=node.shape, scale=1.0, zero_point=0, inputs=(node.name, "other"), a_multiplier=3 << 20,
        b_multiplier=5 << 20, shift=23,
    )  # fmt: skip
    net = replace(graph(source, node, both, arithmetic=config.arithmetic), inputs=(source, other))
    program = check(net, config, rng)
    assert opcodes(program, Opcode.DEPTHWISE) and all(i["add"] for i in opcodes(program, Opcode.REDUCE))


def test_what_stays_dense() -> None:
    """No hardware for it or too slow, several outputs of a channel, groups of several channels, sums that come out."""
    config = replace(SMALL, raw_outputs=True)
    rng = np.random.default_rng(2)
    source = Tensor(name="input", shape=(5, 5, 6), scale=1.0, zero_point=-3)
    node = depthwise(rng, source, Arithmetic(), (3, 3))
    doubled = replace(
        node, shape=(3, 3, 12), weight=np.repeat(node.weight, 2, axis=0),
        **{name: np.repeat(getattr(node, name), 2) for name in ("bias", "multiplier", "shift")},
    )  # fmt: skip
    pairs = replace(node, weight=np.repeat(node.weight, 2, axis=3), groups=3)
    for made, taps in ((node, 0), (node, 1), (doubled, 9), (pairs, 9), (replace(node, raw=True), 9)):
        program = check(graph(source, made, arithmetic=Arithmetic()), replace(config, depthwise_taps=taps), rng)
        assert opcodes(program, Opcode.CONVOLVE) and not opcodes(program, Opcode.DEPTHWISE)
