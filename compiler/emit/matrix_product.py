"""Products of two activations: a 1×1 convolution for each head, whose weights come out of the second one's codes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Convolution, MatrixProduct
from emulator.graph.partial_sums import legal_codes
from emulator.program import Region

from .convolution import ConvolutionEmitter
from .copy import emit_copy
from .cut.column_blocks import weight_zero_points
from .cut.maps import Map
from .cut.tiling import Segment
from .emitter import Emitter
from .post import Post
from .schedule.operation import Buffer, Memory, Transfer
from .transposition import Transposition


@dataclass(frozen=True)
class Matrices:
    """Matrices in memory, rows × columns each, whose rows' codes lie side by side.

    heads, head_steps : how many of them along each leading axis, and bytes from one to the next
    step : bytes from row to row
    """

    address: int
    heads: tuple[int, ...]
    head_steps: tuple[int, ...]
    rows: int
    columns: int
    step: int

    def at(self, head: tuple[int, ...], heads: tuple[int, ...]) -> int:
        """Address of the matrix that head number `head` of `heads` takes."""
        places = (index * own // count for index, own, count in zip(head, self.heads, heads, strict=True))
        return self.address + sum(place * step for place, step in zip(places, self.head_steps, strict=True))


def emit_matrix_product(
    emitter: Emitter, node: MatrixProduct, sources: list[Region], target: Region, post: Post
) -> None:
    """Emit the product of `sources`, head by head; of one row as (Bᵀ · Aᵀ)ᵀ, where that saves a copy of B."""
    if _better_exchanged(emitter, node, sources):
        node = replace(
            node,
            inputs=node.inputs[::-1],
            shape=(*node.shape[:-2], node.shape[-1], 1),
            a_transposed=not node.b_transposed,
            b_transposed=not node.a_transposed,
        )
        sources, steps = sources[::-1], target.steps
        target = Region(target.address, node, (*steps[:-2], steps[-1], steps[-2]))
    before = len(emitter.operations)
    a = matrices(emitter, sources[0], node.a_transposed)
    b = matrices(emitter, sources[1], node.b_transposed)
    if len(emitter.operations) > before:
        # What brings the operands into their order runs beside the array's layer in front of the product.
        emitter.begin(emitter.layer, emitter.stored[-1])
    heads, rows = node.shape[:-2], node.shape[-2]
    layer = as_convolution(node, sources[1].tensor.zero_point)
    columns = emitter.config.columns
    values = layer.bias, layer.multiplier, layer.shift, weight_zero_points(layer)
    blocks = (slice(first, first + columns) for first in range(0, node.shape[-1], columns))
    entries = [emitter.parameter_data(*(each[lane] for each in values)) for lane in blocks]
    parameters = emitter.constant(np.stack(entries))
    zeros = emitter.constant(np.full((emitter.config.rows, columns), sources[1].tensor.zero_point, np.int8))
    for head in np.ndindex(*heads):
        source = Map(a.at(head, heads), 1, rows, node.depth, 0, a.step, sources[0].tensor.zero_point)
        place = target.address + sum(index * step for index, step in zip(head, target.steps[:-2], strict=True))
        result = Map(place, 1, rows, node.shape[-1], 0, target.steps[-2], node.zero_point)
        codes = Matrices(b.at(head, heads), (), (), b.rows, b.columns, b.step)
        HeadEmitter(emitter, layer, source, result, post, codes, (parameters, zeros)).emit()


def _better_exchanged(emitter: Emitter, node: MatrixProduct, sources: list[Region]) -> bool:
    """Whether a row times B is better taken as Bᵀ times a column: where B lies transposed, and nothing is counted per
    channel, as all results would come out of one lane.
    """
    config, (a, b) = emitter.config, sources
    low, high = config.arithmetic.weight_range
    least, most = legal_codes(emitter.graph, a.tensor)
    fits = low <= least and most <= high and (config.weight_zero_points or a.tensor.zero_point == 0)
    lies = b.steps[-1] == 1 if node.b_transposed else b.steps[-2] == 1 and b.steps[-1] != 1
    return node.shape[-2] == 1 < node.shape[-1] and not config.counters and fits and lies


def as_convolution(node: MatrixProduct, weight_zero_point: int) -> Convolution:
    """One head as a 1×1 convolution of a line of M pixels, whose weights are not constant: 0 stands for them."""
    outputs = node.shape[-1]
    return Convolution(
        name=node.name,
        shape=(1, node.shape[-2], outputs),
        scale=node.scale,
        zero_point=node.zero_point,
        y_min=node.y_min,
        y_max=node.y_max,
        inputs=node.inputs[:1],
        weight=np.broadcast_to(np.int8(0), (outputs, 1, 1, node.depth)),
        bias=np.zeros(outputs, np.int64),
        multiplier=np.full(outputs, node.multiplier),
        shift=np.full(outputs, node.shift),
        weight_zero_point=np.full(outputs, weight_zero_point),
    )


def matrices(emitter: Emitter, region: Region, transposed: bool) -> Matrices:
    """The matrices of an operand, (…, columns, rows) where it is `transposed`; where they lie otherwise, a copy."""
    *heads, first, second = zip(region.tensor.shape, region.steps, strict=True)
    (rows, row_step), (columns, step) = (second, first) if transposed else (first, second)
    counts, steps = tuple(count for count, _ in heads), tuple(step for _, step in heads)
    if step == 1 or columns == 1:
        return Matrices(region.address, counts, steps, rows, columns, row_step)
    if row_step == 1 or rows == 1:
        return _transposed(emitter, Matrices(region.address, counts, steps, columns, rows, step))
    # Neither axis' codes lie side by side.
    shape = (*counts, rows, columns)
    copy = Region(emitter.reserve(int(np.prod(shape))), replace(region.tensor, shape=shape))
    emit_copy(emitter, region, (*steps, row_step, step), copy)
    return Matrices(copy.address, counts, copy.steps[:-2], rows, columns, columns)


def _transposed(emitter: Emitter, source: Matrices) -> Matrices:
    """Transposed copies; those of heads that lie side by side in each row are one."""
    heads, steps, wide = list(source.heads), list(source.head_steps), source.columns
    while heads and (heads[-1] == 1 or steps[-1] == wide):
        wide *= heads.pop()
        steps.pop()
    addresses = (
        source.address + sum(index * step for index, step in zip(head, steps, strict=True))
        for head in np.ndindex(*heads)
    )
    copies = [Transposition(emitter, address, source.rows, source.step, wide) for address in addresses]
    for copy in copies:
        copy.emit()
    pitch = copies[0].pitch
    apart = copies[1].address - copies[0].address if len(copies) > 1 else 0
    inner = source.heads[len(heads) :]
    head_steps = [apart * int(np.prod(heads[axis + 1 :])) for axis in range(len(heads))]
    head_steps += [source.columns * pitch * int(np.prod(inner[axis + 1 :])) for axis in range(len(inner))]
    return Matrices(copies[0].address, source.heads, tuple(head_steps), source.columns, source.rows, pitch)


class HeadEmitter(ConvolutionEmitter):
    """One head's product.

    weights : its second operand, K × N; constants : addresses of what all heads share, their parameters and a weight
    tile of real zeros
    """

    def __init__(
        self,
        emitter: Emitter,
        node: Convolution,
        source: Map,
        target: Map,
        post: Post,
        weights: Matrices,
        constants: tuple[int, int],
    ) -> None:
        super().__init__(emitter, node, source, target, post)
        self.matrix, (self.parameter_address, self.zeros) = weights, constants

    def place_constants(self) -> None:
        """They are there: the weights are another layer's codes, and all heads share their parameters."""

    def load_weights(self, index: int, piece: Segment) -> Buffer:
        """The rows of the second operand that a piece of K takes; the rest of its last tile are real zeros."""
        key = index, piece.first_tile
        if key in self.weights:
            return self.weights[key]
        rows, outputs, matrix = self.config.rows, self.cut.blocks[index].outputs, self.matrix
        first, last = piece.first_tile * rows, (piece.first_tile + piece.tiles) * rows
        end = min(last, matrix.rows)
        buffer = self.weights[key] = Buffer(Memory.WEIGHT, last - first)
        address = matrix.address + first * matrix.step + outputs.first
        self.emitter.load(buffer, Transfer(address, 1, 0, end - first, matrix.step, len(outputs)))
        if end < last:
            self.emitter.load_bytes(buffer, self.zeros, (last - end) * self.config.columns, end - first)
        return buffer
