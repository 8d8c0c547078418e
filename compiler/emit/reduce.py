"""REDUCE: layers without weights, tile by tile, some blocks of channels at a time; and those that work code by code."""

from __future__ import annotations

from collections.abc import Callable

from emulator.graph import Add, LookupTable, Node, Product, Rescale, RescaledAdd
from emulator.instructions import Mode, Opcode

from .compile_error import CompileError
from .cut.maps import Map
from .cut.output_room import output_room
from .cut.tiling import MAP_MOST, Axis, Span, Tile, spans, tiles
from .emitter import Emitter
from .post import Post
from .schedule.operation import Access, Buffer, Memory, Place

GROUP_MOST = 8
"""Blocks of channels that are loaded and stored together."""


class ReduceEmitter:
    """A layer that REDUCE computes from the maps `sources`, all of one shape.

    mode, zero_points : REDUCE's mode, and zero points of the first and second input
    clamp : zero point, y_min, y_max of the requantizer
    counted : whether the requantizer's clips are the layer's
    """

    def __init__(
        self,
        emitter: Emitter,
        node: Node,
        sources: tuple[Map, ...],
        target: Map,
        post: Post,
        mode: Mode,
        zero_points: tuple[int, int],
        clamp: tuple[int, int, int],
        counted: bool,
    ):
        self.emitter, self.config, self.node, self.post = emitter, emitter.config, node, post
        self.sources, self.target = sources, target
        self.mode, self.zero_points, self.clamp, self.counted = mode, zero_points, clamp, counted
        self.kernel = len(sources), 1

    def emit(self, fits: Callable[[Tile, int], bool], area: Tile, multiplier: int, shift: int, axes: Axes) -> None:
        """Emit a rectangle of positions that share multiplier and shift."""
        depth = self.target.depth
        columns = self.config.columns
        blocks = list(spans(depth, columns))
        cut = tiles(area.rows, area.columns, lambda tile: fits(tile, 1))
        if cut is None:
            cut = tiles(area.rows, area.columns, lambda tile: fits(tile, 0))
        if cut is None:
            raise CompileError(
                f"layer {self.node.name!r}: the window of one position does not fit the operand scratchpad's "
                f"{self.config.operand_depth} rows (operand_scratchpad_bytes)"
            )
        entry = self.emitter.uniform_parameters(multiplier, shift)
        # A layer of one tile begins with its first channels while the one before makes the others.
        most = min(GROUP_MOST, len(blocks) if len(cut) > 1 else -(-len(blocks) // 2))
        for tile in cut:
            group = 1
            while group < most and fits(tile, group + 1):
                group += 1
            for some in spans(len(blocks), group):
                self.emit_tile(tile, blocks[some.first : some.last], entry, axes)

    def emit_tile(self, tile: Tile, blocks: list[Span], entry: Buffer, axes: Axes) -> None:
        """One tile of some blocks of channels."""
        vertical, horizontal = axes
        group, channels = len(blocks), Span(blocks[0].first, blocks[-1].last)
        lines = vertical.inputs(tile.rows, Span(0, vertical.kernel))
        pixels = horizontal.inputs(tile.columns, Span(0, horizontal.kernel))
        area = len(lines) * len(pixels)
        self.emitter.begin_block()
        operand = Buffer(Memory.OPERAND, area * group * len(self.sources))
        for index, source in enumerate(self.sources):
            self.emitter.load(operand, source.transfer(lines, pixels, channels), index * area * group)
        output = Buffer(Memory.OUTPUT, tile.positions * group)
        if len(self.sources) == 2:
            # Two maps, one after the other: a window of two lines, each as long as a map.
            window = self.window((1, tile.positions), (2, 1), (2, area), (1, 1), (1, 1), (0, 0))
        else:
            window = self.window(
                (len(tile.rows), len(tile.columns)),
                (vertical.kernel, horizontal.kernel),
                (len(lines), len(pixels)),
                (vertical.stride, horizontal.stride),
                (vertical.dilation, horizontal.dilation),
                (
                    vertical.pad(tile.rows, Span(0, vertical.kernel), lines),
                    horizontal.pad(tile.columns, Span(0, horizontal.kernel), pixels),
                ),
            )
        result = self.target.transfer(tile.rows, tile.columns, channels)
        counts = self.counted or self.post.add is not None
        for place, block in enumerate(blocks):
            if place > 0:
                self.emitter.begin_block()
            lanes = len(block) if counts else 0
            self.reduce(window, operand, output, entry, place, group, tile.positions, lanes)
            if place == group - 1:
                self.emitter.store(output, result)
            if counts:
                adder = self.post.add.name if self.post.add is not None else None
                name = self.node.name if self.counted else ""
                self.emitter.count(name, block.first, len(block), self.target.depth, adder)

    @staticmethod
    def window(
        output: tuple[int, int],
        kernel: tuple[int, int],
        inputs: tuple[int, int],
        strides: tuple[int, int],
        dilations: tuple[int, int],
        padding: tuple[int, int],
    ) -> dict[str, int]:
        """The window's fields."""
        pairs = {"output": output, "kernel": kernel, "input": inputs, "stride": strides, "dilation": dilations}
        fields = {}
        for name, (height, width) in pairs.items():
            fields[name + "_height"], fields[name + "_width"] = height, width
        return {**fields, "pad_top": padding[0], "pad_left": padding[1]}

    def reduce(
        self,
        window: dict[str, int],
        operand: Buffer,
        output: Buffer,
        entry: Buffer,
        place: int,
        group: int,
        positions: int,
        lanes: int,
    ) -> None:
        """One block of channels: number `place` of a group of that many; `lanes` of its channels count."""
        fields, accesses = self.emitter.post_fields(self.post, self.node, lanes)
        zero_point, y_min, y_max = self.clamp
        self.emitter.emit(
            Opcode.REDUCE,
            {
                **fields,
                **window,
                "zero_point": zero_point,
                "y_min": y_min,
                "y_max": y_max,
                "pixel_rows": group,
                "output_stride": group,
                "mode": int(self.mode),
                "input_zero_point": self.zero_points[0],
                "second_zero_point": self.zero_points[1],
            },
            {"input_row": Place(operand, place), "output_row": Place(output, place), "parameters": Place(entry)},
            (
                *accesses,
                Access(entry, 0, 1, 1, 1),
                Access(operand, place, operand.rows // group, group, 1),
                Access(output, place, positions, group, 1, write=True),
            ),
        )


Axes = tuple[Axis, Axis]


def has_room(emitter: Emitter, inputs: int, outputs: int, group: int) -> bool:
    """Whether so many rows of operands and results fit, of each block of a group; 0: one block, all rows at once."""
    config = emitter.config
    if group == 0:
        return inputs <= config.operand_depth and outputs <= config.output_depth
    return inputs * group <= config.operand_depth // 2 and outputs * group <= output_room(config, group > 1)


def emit_elementwise(
    emitter: Emitter,
    node: Add | RescaledAdd | Product | Rescale | LookupTable,
    sources: tuple[Map, ...],
    target: Map,
    post: Post,
) -> None:
    """Emit a layer that computes each code from the codes at the same place."""
    if all(each.is_line for each in (*sources, target)):
        sources, target = tuple(each.as_line() for each in sources), target.as_line()
    low, high = emitter.config.arithmetic.activation_range
    mode, clamp, zero_points, scale = Mode.FIRST, (0, low, high), (0, 0), (1, 0)
    if isinstance(node, Product | Rescale):
        clamp, scale = (node.zero_point, node.y_min, node.y_max), (node.multiplier, node.shift)
        zero_points = (sources[0].zero_point, sources[-1].zero_point)
        mode = Mode.PRODUCT if isinstance(node, Product) else Mode.FIRST

    def fits(tile: Tile, group: int) -> bool:
        return tile.positions <= MAP_MOST and has_room(emitter, tile.positions * len(sources), tile.positions, group)

    emitter.prepare(post)
    reducer = ReduceEmitter(
        emitter, node, sources, target, post, mode, zero_points, clamp, isinstance(node, Product | Rescale)
    )
    axes = Axis(target.height, 1, 1, 1, 0), Axis(target.width, 1, 1, 1, 0)
    reducer.emit(fits, Tile(Span(0, target.height), Span(0, target.width)), *scale, axes)
