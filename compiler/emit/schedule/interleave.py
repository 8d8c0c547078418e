"""Layers side by side: what runs in post-processing alone, between the column blocks of a neighbour on the array.

A depthwise convolution, a pool or a sum keeps the array waiting, though it needs only the rows of the layer before that
lie under its own, and gives the layer behind its first rows long before its last ones. So the blocks of
neighbouring layers, of which at most one uses the array, are taken in the order in which their data come, by a rough
count of cycles. Each layer's blocks keep their order, and so does what is inside a block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from emulator.config import AcceleratorConfig
from emulator.instructions import Opcode, Unit

from .durations import TRIP_CYCLES, duration
from .external_hazards import LastWriter
from .operation import Buffer, Memory, Operation

LAYERS_MOST = 3
"""Layers side by side."""


@dataclass(eq=False)
class Block:
    """Operations that stay together: what makes and stores a block of channels of a tile.

    work : cycles that it takes each unit
    needs : blocks of other layers whose STOREs write what its LOADs read, or beside what its own STOREs write
    stored : when its last STORE ends, once it is placed
    """

    operations: list[Operation]
    work: dict[Unit, int]
    needs: list[Block] = field(default_factory=list)
    stored: int = -1


@dataclass(eq=False)
class Layer:
    """A layer's blocks, and what it uses of which there is one."""

    number: int
    blocks: list[Block]
    next: int = 0

    def __post_init__(self) -> None:
        operations = [operation for block in self.blocks for operation in block.operations]
        self.on_array = any(operation.unit == Unit.CONVOLVE for operation in operations)
        self.left = {unit: sum(block.work[unit] for block in self.blocks) for unit in Unit}
        self.adds = any(o.opcode == Opcode.ADDER or o.fields.get("add") for o in operations)
        self.has_table = any(access.buffer.memory == Memory.TABLE for o in operations for access in o.accesses)

    def beside(self, other: Layer) -> bool:
        """Whether the two may run side by side."""
        return (
            not (self.on_array and other.on_array)
            and not (self.adds and other.adds)
            and not (self.has_table and other.has_table)
        )

    def take(self) -> Block:
        """Go on by a block."""
        block = self.blocks[self.next]
        self.next += 1
        for unit, cycles in block.work.items():
            self.left[unit] -= cycles
        return block

    @property
    def here(self) -> Block | None:
        """The block that is next."""
        return self.blocks[self.next] if self.next < len(self.blocks) else None


def interleave(
    operations: Sequence[Operation], config: AcceleratorConfig, memory_bytes: int, apart: Collection[int] = ()
) -> list[Operation]:
    """The operations in an order in which neighbouring layers overlap.

    apart : layers, by number, that run alone
    """
    layers = _layers(operations, config, memory_bytes)
    clock, order = _Clock(config), []

    def take(layer: Layer) -> None:
        block = layer.take()
        clock.run(block)
        order.extend(block.operations)

    for index, layer in enumerate(layers):
        beside = [layer]
        while layer.here is not None:
            if layer.number not in apart:
                beside = _beside(layers[index:], apart)
            take(clock.choose(beside))
    return order


def _beside(layers: Sequence[Layer], apart: Collection[int]) -> list[Layer]:
    """Those of the first layers that may run side by side."""
    found = [layers[0]]
    for layer in layers[1:LAYERS_MOST]:
        if layer.number in apart or not all(layer.beside(other) for other in found):
            break
        found.append(layer)
    return [layer for layer in found if layer.here is not None]


def _layers(operations: Sequence[Operation], config: AcceleratorConfig, memory_bytes: int) -> list[Layer]:
    """The layers, with what their blocks need of earlier ones."""
    last = LastWriter(memory_bytes)
    writers: list[tuple[int, Block]] = []
    layers = []
    for number, own in groupby(operations, lambda operation: operation.layer):
        made = []
        for _, some in groupby(own, lambda operation: operation.block):
            together = list(some)
            work = dict.fromkeys(Unit, 0)
            for operation in together:
                work[operation.unit] += duration(operation, config)
            block = Block(together, work)
            needs: dict[int, tuple[int, Block]] = {}
            for operation in block.operations:
                if operation.transfer is None:
                    continue
                # A granule has one last writer, so several layers that write parts of it keep their order.
                for index in last.writers(operation.transfer):
                    layer, writer = writers[index]
                    if layer != number and index > needs.get(layer, (-1, block))[0]:
                        needs[layer] = index, writer
                if operation.unit == Unit.STORE:
                    last.write(operation.transfer, len(writers))
                    writers.append((number, block))
            block.needs = [writer for _, writer in needs.values()]
            made.append(block)
        layers.append(Layer(number, made))
    return layers


class _Clock:
    """When each unit will be free, were durations exact and LOADs unbounded."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.free = dict.fromkeys(Unit, 0)
        self.ready: dict[Buffer, int] = {}
        self.read = [0, 0]  # when the sums in each half of the accumulators have been read

    def run(self, block: Block) -> None:
        """A block's operations take their time."""
        there = max((needed.stored for needed in block.needs), default=0)
        for operation in block.operations:
            start = self.free[operation.unit]
            if operation.unit == Unit.LOAD and operation.transfer is not None:
                start = max(start, there)
            sums = [a.buffer for a in operation.accesses if a.buffer.memory == Memory.ACCUMULATOR]
            if operation.unit == Unit.CONVOLVE and sums[0] not in self.ready:
                start = max(start, self.read[0])
                self.read = [self.read[1], start]
            start = max([start, *(self.ready.get(a.buffer, 0) for a in operation.accesses if not a.write)])
            end = self.free[operation.unit] = start + duration(operation, self.config)
            if operation.unit == Unit.POST_PROCESS and sums:
                self.read[1] = end
            trip = TRIP_CYCLES if operation.unit in (Unit.LOAD, Unit.STORE) else 0
            for access in operation.accesses:
                if access.write:
                    self.ready[access.buffer] = end + trip
            if operation.unit == Unit.STORE:
                block.stored = end + trip

    def begins(self, block: Block) -> int | None:
        """When the lanes, or the array if it alone works, could begin with a block; None if its input has no place."""
        if any(needed.stored < 0 for needed in block.needs):
            return None
        there = max((needed.stored for needed in block.needs), default=0)
        free, ready = dict(self.free), dict[Buffer, int]()
        found = there
        for operation in block.operations:
            unit = operation.unit
            start = free[unit]
            if unit == Unit.LOAD and operation.transfer is not None:
                start = max(start, there)
            for access in operation.accesses:
                if not access.write:
                    start = max(start, ready.get(access.buffer, self.ready.get(access.buffer, 0)))
            if unit == Unit.CONVOLVE:
                found = start
            if unit == Unit.POST_PROCESS:
                return start
            end = free[unit] = start + duration(operation, self.config)
            trip = TRIP_CYCLES if unit in (Unit.LOAD, Unit.STORE) else 0
            for access in operation.accesses:
                if access.write:
                    ready[access.buffer] = end + trip
        return found

    def choose(self, layers: Sequence[Layer]) -> Layer:
        """Which of some layers goes on: the one that can begin first, where the lanes are the bound."""
        if len(layers) == 1:
            return layers[0]
        there = {layer: begins for layer in layers if layer.here and (begins := self.begins(layer.here)) is not None}
        array = next((layer for layer in there if layer.on_array), None)
        others = [layer for layer in there if not layer.on_array]
        if array is not None and others and array.here is not None:
            lanes = others[-1]
            if array.left[Unit.POST_PROCESS] + lanes.left[Unit.POST_PROCESS] <= array.left[Unit.CONVOLVE]:
                # While post-processing does the lanes' block, the array does its next one.
                post, behind = self.free[Unit.POST_PROCESS], self.free[Unit.CONVOLVE] + array.here.work[Unit.CONVOLVE]
                return lanes if there[lanes] <= post <= behind else array
        # Of those that begin together the last one, so that what follows it has its data.
        return min(reversed(there), key=lambda layer: there[layer])
