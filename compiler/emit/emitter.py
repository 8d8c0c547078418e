"""Emitter: collects operations and constants, and gives everything its place in external memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from emulator.config import AcceleratorConfig
from emulator.front_end import INDEX_BITS
from emulator.graph import Graph, Integers, MatrixProduct, Node, Transpose
from emulator.instructions import COUNTER_ROWS, PARAMETER_PITCH, WEIGHT_ZERO_POINT_ROW, Opcode
from emulator.program import CounterBlock, Region

from .compile_error import CompileError
from .cut.depthwise_cut import maps_of_lanes
from .cut.in_blocks import maps_in_blocks
from .cut.output_room import counter_blocks
from .cut.packing import borders
from .cut.side_by_side import borders_together
from .placement import Placement
from .post import Post
from .schedule.operation import Access, Buffer, Memory, Operation, Place, Transfer
from .schedule.transfers import PIXEL_BYTES_MOST, merge, transfer_fields

ALIGNMENT = 32
"""Regions begin at multiples of the widest bus and of an instruction."""
MEMORY_LIMIT = 1 << 32
"""Addresses of external memory have 32 bits."""
MOST_INSTRUCTIONS = (1 << INDEX_BITS) - 1
"""Before HALT; the accelerator counts instructions in so many bits."""


class Emitter:
    """Memory map and operation list under construction.

    given : names of the graph's inputs
    of_lanes : maps that depthwise convolutions in the lanes read or make
    stored_channels : for maps that post-processing alone makes, some channels after the others: where each piece ends
    stored_blocks : the same for maps that the array makes, column block by column block
    stored_cycles : about how long post-processing takes for a map of `stored_channels`
    """

    def __init__(self, graph: Graph, config: AcceleratorConfig, fused: Collection[str]):
        self.graph, self.config = graph, config
        self.operations: list[Operation] = []
        self.counters: dict[Operation, list[CounterBlock]] = {}
        self.constants: list[tuple[int, bytes]] = []
        self.size = 0
        self.layers: list[str] = []
        self.stored: list[str] = []
        if any(isinstance(node, MatrixProduct | Transpose) for node in graph.nodes):
            self.reserve(config.columns)  # a `Transposition` reads bytes in front of its matrix
        wanted = borders(graph, config.rows) | borders_together(graph, config)
        in_blocks = maps_in_blocks(graph, config, fused, wanted)
        self.placement = Placement(graph, fused, wanted, self.reserve, in_blocks, config.columns)
        self.of_lanes = maps_of_lanes(graph, config)
        self.given = {tensor.name for tensor in graph.inputs}
        self.stored_channels: dict[str, tuple[int, ...]] = {}
        self.stored_cycles: dict[str, int] = {}
        self.stored_blocks: dict[str, tuple[int, ...]] = {}
        self._adder: dict[str, int] | None = None
        self._block = 0
        self._counted = 0, Buffer(Memory.OUTPUT, 0), 0  # address and buffer of counters, and how many blocks' they hold

    def begin(self, layer: str, stored: str) -> None:
        """A layer's operations follow; `stored` is the last layer that runs in them, whose codes are stored."""
        self.store_counters()
        self.layers.append(layer)
        self.stored.append(stored)
        self.begin_block()

    def begin_block(self) -> None:
        """The operations that follow up to the next call stay together."""
        self._block += 1

    @property
    def layer(self) -> str:
        """Name of the layer under way."""
        return self.layers[-1]

    def region(self, name: str) -> Region:
        """Where a tensor's codes lie."""
        return self.placement.regions[name]

    def reserve(self, size: int) -> int:
        """Address of `size` fresh bytes."""
        address = self.size
        self.size = -(-(address + size) // ALIGNMENT) * ALIGNMENT
        if self.size >= MEMORY_LIMIT:
            raise CompileError(f"{self._place_of()}: the memory must stay below 2^32 bytes, and would have {self.size}")
        return address

    def _place_of(self) -> str:
        return f"layer {self.layers[-1]!r}" if self.layers else "the graph's tensors"

    def constant(self, values: NDArray[np.generic]) -> int:
        """Address of these bytes."""
        data = values.tobytes()
        address = self.reserve(len(data))
        self.constants.append((address, data))
        return address

    def lanes(self, memory: Memory) -> int:
        """Bytes of a row."""
        return self.config.rows if memory == Memory.ACTIVATION else self.config.columns

    def emit(
        self,
        opcode: Opcode,
        fields: dict[str, int],
        places: dict[str, Place],
        accesses: tuple[Access, ...],
        transfer: Transfer | None = None,
    ) -> None:
        """Append an operation."""
        if len(self.operations) == MOST_INSTRUCTIONS:
            raise CompileError(f"{self._place_of()}: the program must have at most {MOST_INSTRUCTIONS} instructions")
        layer, block = len(self.layers) - 1, self._block
        self.operations.append(Operation(opcode, fields, places, accesses, transfer, layer=layer, block=block))

    def load(
        self, buffer: Buffer, transfer: Transfer, offset: int = 0, pixel_rows: int = 0, constant: bool = False
    ) -> None:
        """Emit a LOAD; `pixel_rows` 0: pixels follow one another. `constant`: bytes that no STORE writes."""
        lanes = self.lanes(buffer.memory)
        width = -(-transfer.pixel_bytes // lanes)
        if pixel_rows in (0, width):
            merged = merge(transfer, lanes)
            pixel_rows = -(-merged.pixel_bytes // lanes)
        else:
            merged = transfer
        rows = merged.lines * merged.pixels
        access = Access(buffer, offset, rows, pixel_rows, -(-merged.pixel_bytes // lanes), write=True)
        self.load_placed(merged, pixel_rows, Place(buffer, offset), access, constant)

    def load_entries(self, buffer: Buffer, address: int, size: int, pitch: int) -> None:
        """Emit a LOAD of constants of `size` bytes, one for each row of a buffer of entries that lie `pitch` apart."""
        transfer = Transfer(address, 1, 0, buffer.rows, size, size)
        access = Access(buffer, 0, 1, buffer.rows, buffer.rows, write=True)
        self.load_placed(transfer, pitch, Place(buffer, 0, pitch), access, True)

    def load_placed(
        self, transfer: Transfer, pixel_rows: int, place: Place, access: Access, constant: bool = False
    ) -> None:
        """Emit a LOAD to rows of any memory from `place` on, which are those of `access`."""
        alone = transfer.lines * transfer.pixels == 1
        self.emit(
            Opcode.LOAD,
            {
                **transfer_fields(transfer),
                "pixel_rows": 0 if alone else pixel_rows,
                "target": int(place.buffer.memory),
            },
            {"row": place},
            (access,),
            None if constant else transfer,
        )

    def load_bytes(self, buffer: Buffer, address: int, size: int, offset: int = 0) -> None:
        """Emit LOADs of constant bytes that fill rows one after the other."""
        lanes = self.lanes(buffer.memory)
        step = PIXEL_BYTES_MOST // lanes * lanes
        for first in range(0, size, step):
            piece = Transfer(address + first, 1, 0, 1, 0, min(step, size - first))
            self.load(buffer, piece, offset + first // lanes, constant=True)

    def store(self, buffer: Buffer, transfer: Transfer, offset: int = 0, internal: bool = False) -> None:
        """Emit a STORE of pixels that follow one another. `internal`: bytes that no LOAD reads."""
        lanes = self.config.columns
        merged = merge(transfer, lanes)
        width = -(-merged.pixel_bytes // lanes)
        access = Access(buffer, offset, merged.lines * merged.pixels, width, width)
        self.emit(
            Opcode.STORE,
            {**transfer_fields(merged), "pixel_rows": 0 if merged.lines * merged.pixels == 1 else width},
            {"row": Place(buffer, offset)},
            (access,),
            None if internal else merged,
        )

    def parameter_data(
        self, bias: Integers, multiplier: Integers, shift: Integers, weight_zero_point: Integers
    ) -> NDArray[np.uint8]:
        """(parameter_rows, columns) bytes of one entry; at most `columns` channels."""
        rows = np.zeros((self.config.parameter_rows, self.config.columns), np.uint8)
        fields = [(0, bias, 4), (4, multiplier, 4), (8, shift, 1)]
        if self.config.weight_zero_points:
            fields.append((WEIGHT_ZERO_POINT_ROW, weight_zero_point, 1))
        for first, values, count in fields:
            for byte in range(count):
                rows[first + byte, : len(values)] = (np.asarray(values, np.int64) >> (8 * byte)) & 255
        return rows

    def load_parameters(self, address: int, entries: int) -> Buffer:
        """Emit a LOAD of consecutive entries."""
        buffer = Buffer(Memory.PARAMETER, entries)
        size = self.config.parameter_rows * self.config.columns
        self.load_entries(buffer, address, size, PARAMETER_PITCH)
        return buffer

    def uniform_parameters(self, multiplier: int, shift: int) -> Buffer:
        """An entry with bias 0 that all lanes share."""
        columns = self.config.columns
        zeros = np.zeros(columns, np.int64)
        data = self.parameter_data(zeros, zeros + multiplier, zeros + shift, zeros)
        return self.load_parameters(self.constant(data), 1)

    def prepare(self, post: Post) -> None:
        """Emit what the results of a layer pass behind the requantizer: the adder's settings, the table."""
        if post.adder is not None and post.adder != self._adder:
            self.emit(Opcode.ADDER, dict(post.adder), {}, ())
            self._adder = post.adder
        if post.table is not None:
            buffer = post.table_buffer = Buffer(Memory.TABLE, 1)
            columns = self.config.columns
            data = np.repeat(post.table.table.astype(np.int8)[:, None], columns, axis=1)
            self.load_entries(buffer, self.constant(data), data.size, 1)

    def post_fields(self, post: Post, node: Node, lanes: int) -> tuple[dict[str, int], tuple[Access, ...]]:
        """Fields and accesses of the last steps of a REQUANTIZE or REDUCE; `lanes`: those that count."""
        fields = {
            "zero_point": node.zero_point,
            "y_min": node.y_min,
            "y_max": node.y_max,
            "add": int(post.adder is not None),
            "table": int(post.table is not None),
            "lanes": lanes,
        }
        if post.table_buffer is None:
            return fields, ()
        return fields, (Access(post.table_buffer, 0, 1, 1, 1),)

    def count(self, layer: str, channel: int, channels: int, layer_channels: int, adder: str | None = None) -> None:
        """Emit what stores the counters behind a block of channels; `layer` "": only the adder's are its own."""
        if not self.config.counters:
            return
        place, access = self.counter_rows(1)
        self.emit(Opcode.COUNTERS, {}, {"output_row": place}, (access,))
        self.counted([(layer, channel, channels, layer_channels, adder)])

    def counter_rows(self, blocks: int) -> tuple[Place, Access]:
        """Rows for the counters behind so many blocks of channels, which the operation that comes next writes."""
        if self._counted[2] + blocks > counter_blocks(self.config):
            self.store_counters()
        if not self._counted[2]:
            rows = counter_blocks(self.config) * COUNTER_ROWS
            self._counted = self.reserve(rows * self.config.columns), Buffer(Memory.OUTPUT, rows), 0
        _, buffer, before = self._counted
        first, rows = before * COUNTER_ROWS, blocks * COUNTER_ROWS
        return Place(buffer, first), Access(buffer, first, 1, rows, rows, write=True)

    def counted(self, blocks: Sequence[tuple[str, int, int, int, str | None]]) -> None:
        """The last operation stores the counters behind these blocks: layer, channel and so on, as in `count`."""
        address, buffer, before = self._counted
        size = COUNTER_ROWS * self.config.columns
        made = [CounterBlock(address + (before + k) * size, *block) for k, block in enumerate(blocks)]
        self.counters[self.operations[-1]] = made
        self._counted = address, buffer, before + len(blocks)
        if before + len(blocks) == counter_blocks(self.config):
            self.store_counters()

    def store_counters(self) -> None:
        """Emit what stores the counters that are not stored yet; those of several blocks together."""
        address, buffer, blocks = self._counted
        if blocks:
            size = blocks * COUNTER_ROWS * self.config.columns
            self.store(buffer, Transfer(address, 1, 0, 1, 0, size), internal=True)
        self._counted = 0, Buffer(Memory.OUTPUT, 0), 0
