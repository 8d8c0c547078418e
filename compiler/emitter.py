"""Emitter: collects instructions and constants, places everything in external memory, and makes the `Program`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator.config import AcceleratorConfig
from emulator.graph import Graph, Integers, Tensor
from emulator.instructions import COUNTER_ROWS, PARAMETER_ROWS, Instruction, Opcode, Target, instruction
from emulator.program import CounterBlock, Program, Region

ALIGNMENT = 32
"""Regions begin at multiples of the widest bus and of an instruction."""
PARAMETER_ROW = 0
COUNTER_ROW = PARAMETER_ROW + PARAMETER_ROWS
WORK_ROW = COUNTER_ROW + COUNTER_ROWS
"""The output scratchpad's plan: parameters, counters, then operands and results."""


class CompileError(ValueError):
    """A layer that the accelerator cannot run; the text names the layer and the reason."""


class Emitter:
    """Memory map and instruction list under construction."""

    def __init__(self, graph: Graph, config: AcceleratorConfig):
        self.graph, self.config = graph, config
        self.instructions: list[Instruction] = []
        self.regions: dict[str, Region] = {}
        self.counters: list[CounterBlock] = []
        self.constants: list[tuple[int, bytes]] = []
        self.size = 0
        self.layer = ""
        self._loaded: dict[int, Instruction] = {}
        self._parameters: tuple[Instruction, ...] = ()

    @property
    def work_rows(self) -> int:
        """Rows of the output scratchpad for operands and results."""
        return self.config.output_depth - WORK_ROW

    def reserve(self, size: int) -> int:
        """Address of `size` fresh bytes."""
        address = self.size
        self.size = -(-(address + size) // ALIGNMENT) * ALIGNMENT
        return address

    def place(self, tensor: Tensor, same_as: str | None = None) -> Region:
        """The region of a tensor; `same_as`: a tensor whose bytes it shares."""
        if same_as is not None:
            self.regions[tensor.name] = Region(self.regions[same_as].address, tensor)
        else:
            size = int(np.prod(tensor.shape, dtype=np.int64))
            self.regions[tensor.name] = Region(self.reserve(size), tensor)
        return self.regions[tensor.name]

    def constant(self, values: NDArray[np.generic]) -> int:
        """Address of these bytes."""
        data = values.tobytes()
        address = self.reserve(len(data))
        self.constants.append((address, data))
        return address

    def emit(self, opcode: Opcode, **fields: int) -> None:
        """Append an instruction; a value that its field cannot hold is a `CompileError`."""
        made = instruction(opcode, **fields)
        try:
            made.encode()
        except ValueError as error:
            raise CompileError(f"layer {self.layer!r} does not fit the instruction set: {error}") from None
        self.instructions.append(made)

    def load(
        self,
        target: Target,
        address: int,
        lines: int,
        line_stride: int,
        pixels: int,
        pixel_stride: int,
        pixel_bytes: int,
        row: int = 0,
    ) -> None:
        """Emit a LOAD unless the scratchpad holds just that."""
        fields = {
            "memory_address": address,
            "row": row,
            "lines": lines,
            "line_stride": line_stride,
            "pixels": pixels,
            "pixel_stride": pixel_stride,
            "pixel_bytes": pixel_bytes,
            "target": int(target),
        }
        wanted = instruction(Opcode.LOAD, **fields)
        if target != Target.OUTPUT and self._loaded.get(target) == wanted:
            return
        self.emit(Opcode.LOAD, **fields)
        self._loaded[target] = wanted

    def load_rows(self, target: Target, address: int, rows: int, row: int = 0) -> None:
        """Emit a LOAD of whole scratchpad rows that are contiguous in memory."""
        lanes = self.config.rows if target == Target.ACTIVATION else self.config.columns
        self.load(target, address, 1, 0, rows, lanes, lanes, row)

    def forget(self) -> None:
        """A layer begins: what the scratchpads hold may be stale."""
        self._loaded.clear()

    def parameters(self, bias: Integers, multiplier: Integers, shift: Integers) -> None:
        """Emit what brings a block's parameters (one per lane, at most `columns`) into the lanes."""
        rows = np.zeros((PARAMETER_ROWS, self.config.columns), np.uint8)
        for first, values, count in ((0, bias, 4), (4, multiplier, 4), (8, shift, 1)):
            for byte in range(count):
                rows[first + byte, : len(values)] = (np.asarray(values, np.int64) >> (8 * byte)) & 255
        self.load_rows(Target.OUTPUT, self.constant(rows), PARAMETER_ROWS, PARAMETER_ROW)
        self.emit(Opcode.PARAMETERS, row=PARAMETER_ROW)

    def count(self, layer: str, channel: int, channels: int) -> None:
        """Emit what stores the counters of a block of channels and clears them."""
        if not self.config.counters:
            return
        columns = self.config.columns
        address = self.reserve(COUNTER_ROWS * columns)
        self.counters.append(CounterBlock(address, layer, channel, channels))
        self.emit(Opcode.COUNTERS, row=COUNTER_ROW)
        self.emit(
            Opcode.STORE,
            memory_address=address,
            row=COUNTER_ROW,
            lines=1,
            line_stride=0,
            pixels=COUNTER_ROWS,
            pixel_stride=columns,
            pixel_bytes=columns,
        )

    def finish(self, macs: int) -> Program:
        """End the program and make the memory image: data first, then the instructions."""
        self.emit(Opcode.HALT)
        code = b"".join(made.encode() for made in self.instructions)
        program_address = self.reserve(len(code))
        image = bytearray(self.size)
        for address, data in (*self.constants, (program_address, code)):
            image[address : address + len(data)] = data
        inputs = {tensor.name: self.regions[tensor.name] for tensor in self.graph.inputs}
        return Program(
            config_hash=self.config.hash(),
            instructions=tuple(self.instructions),
            image=bytes(image),
            inputs=inputs,
            tensors={node.name: self.regions[node.name] for node in self.graph.nodes},
            outputs=dict(self.graph.outputs),
            counters=tuple(self.counters),
            columns=self.config.columns,
            program_address=program_address,
            macs=macs,
        )
