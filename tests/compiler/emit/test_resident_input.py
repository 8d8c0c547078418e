"""An input that lies in the scratchpad as a whole, in parts: where it is cut, and that each byte is loaded once."""

from __future__ import annotations

import numpy as np

from compiler import compile_graph
from compiler.emit.cut.convolution_cut import ConvolutionCut
from compiler.emit.cut.maps import Map
from compiler.emit.cut.tiling import Span
from emulator import AcceleratorConfig, Convolution, Graph, Tensor
from emulator.instructions import Opcode, Target
from tests.compiler.interpreted import check

HEIGHT, WIDTH, DEPTH, CHANNELS = 4, 2, 24, 8
CONFIG = AcceleratorConfig(rows=4, columns=4, activation_scratchpad_bytes=4 * 64, weight_scratchpad_bytes=4 * 40)
"""8 positions of 6 channel rows are 48 of 64 rows, more than half; a quarter holds two channel rows of them all."""


def pointwise() -> Graph:
    rng = np.random.default_rng(0)
    source = Tensor(name="input", shape=(HEIGHT, WIDTH, DEPTH), scale=1.0, zero_point=3)
    node = Convolution(
        name="y", shape=(HEIGHT, WIDTH, CHANNELS), inputs=("input",), scale=1.0, zero_point=0,
        weight=rng.integers(-128, 128, (CHANNELS, 1, 1, DEPTH), dtype=np.int8),
        bias=rng.integers(-99, 99, CHANNELS), multiplier=np.full(CHANNELS, 1 << 22), shift=np.full(CHANNELS, 32),
    )  # fmt: skip
    return Graph(inputs=(source,), nodes=(node,), outputs={"y": "y"}, arithmetic=CONFIG.arithmetic)


def cut_for(config: AcceleratorConfig) -> ConvolutionCut:
    node = pointwise().nodes[0]
    assert isinstance(node, Convolution)
    source = Map(0, HEIGHT, WIDTH, DEPTH, WIDTH * DEPTH, DEPTH, 3)
    target = Map(4096, HEIGHT, WIDTH, CHANNELS, WIDTH * CHANNELS, CHANNELS, 0)
    return ConvolutionCut(config, node, source, target, None)


def test_a_large_input_is_cut_in_parts_and_k_with_it() -> None:
    cut = cut_for(CONFIG)
    assert cut.resident
    assert cut.parts == [Span(0, 2), Span(2, 4), Span(4, 6)]
    # Half of the weight scratchpad holds five tiles, so K ends at 5, too.
    for pieces in cut.pieces:
        assert [piece.channels for piece in pieces] == [Span(0, 2), Span(2, 4), Span(4, 5), Span(5, 6)]
        assert [piece.first_tile for piece in pieces] == [0, 2, 4, 5]


def test_an_input_of_half_of_the_scratchpad_is_one_part() -> None:
    roomy = AcceleratorConfig(rows=4, columns=4, activation_scratchpad_bytes=4 * 96, weight_scratchpad_bytes=4 * 40)
    cut = cut_for(roomy)
    assert cut.resident
    assert cut.parts == [Span(0, 6)]


def test_each_byte_is_loaded_once_for_all_column_blocks() -> None:
    program = compile_graph(pointwise(), CONFIG)
    loads = [
        made for made in program.instructions if made.opcode == Opcode.LOAD and made["target"] == Target.ACTIVATION
    ]
    first = program.inputs["input"].address
    bytes_loaded = sorted(
        made["memory_address"] - first + line * made["line_stride"] + pixel * made["pixel_stride"] + byte
        for made in loads
        for line in range(made["lines"])
        for pixel in range(made["pixels"])
        for byte in range(made["pixel_bytes"])
    )
    assert bytes_loaded == list(range(HEIGHT * WIDTH * DEPTH))
    assert sum(made.opcode == Opcode.CONVOLVE for made in program.instructions) >= 2 * 4
    check(pointwise(), CONFIG, np.random.default_rng(1))
