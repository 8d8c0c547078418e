"""`Program`: what the accelerator runs: instructions, the image of its external memory and a map of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .config import AcceleratorConfig
from .graph import Codes, Tensor, to_file_layout
from .graph.host_part import HostPart
from .graph.inputs import model_inputs
from .instructions import COUNTER_ROWS, INSTRUCTION_BYTES, Instruction


@dataclass(frozen=True)
class Region:
    """Bytes of external memory that hold a tensor, one byte per code.

    address : of the first code
    strides : bytes from index to index along each stored axis; None: contiguous, the last axis fastest
    planes : 0: codes; n: sums of n bytes, their lowest bytes like codes, then as many of the next ones, and so on
    block : 0: the channels of a pixel lie together; n, a divisor of their number: those of n channels do, pixel after
        pixel, then the next n of all pixels, and so on; `strides` must be None
    """

    address: int
    tensor: Tensor
    strides: tuple[int, ...] | None = None
    planes: int = 0
    block: int = 0

    @property
    def steps(self) -> tuple[int, ...]:
        """Bytes from index to index along each stored axis; along the last one, inside a block."""
        if self.strides is not None:
            return self.strides
        shape = (*self.tensor.shape[:-1], self.block) if self.block else self.tensor.shape
        return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))

    @property
    def block_size(self) -> int:
        """Bytes from a block of channels to the next one, where there are several."""
        return int(np.prod(self.tensor.shape[:-1], dtype=np.int64)) * self.block

    @property
    def contiguous(self) -> bool:
        """Whether the codes lie one after the other."""
        dense = Region(self.address, self.tensor).steps
        return all(n == 1 or a == b for n, a, b in zip(self.tensor.shape, self.steps, dense, strict=True))

    @property
    def size(self) -> int:
        """Bytes from the first one to the last; between them may lie other things."""
        return self.plane_size * max(self.planes, 1)

    @property
    def plane_size(self) -> int:
        """The same of the codes, or of one byte of all the sums."""
        if 0 in self.tensor.shape:
            return 0
        if self.block:
            return self.tensor.shape[-1] // self.block * self.block_size
        return 1 + sum((n - 1) * step for n, step in zip(self.tensor.shape, self.steps, strict=True))

    def view(self, memory: bytes | bytearray) -> Codes:
        """The codes in a memory image, of the tensor's stored shape; writable if the image is, a copy of blocks."""
        if self.block:
            *outer, channels = self.tensor.shape
            shape, steps = (*outer, channels // self.block, self.block), (*self.steps[:-1], self.block_size, 1)
            return np.ndarray(shape, np.int8, memory, self.address, steps).reshape(self.tensor.shape)
        return np.ndarray(self.tensor.shape, np.int8, memory, self.address, self.steps)

    def values(self, memory: bytes) -> Codes | NDArray[np.int64]:
        """A copy of the codes in a memory image, or of the sums."""
        if not self.planes:
            return self.view(memory).copy()
        addresses = [self.address + n * self.plane_size for n in range(self.planes)]
        planes = [replace(self, address=address).view(memory).astype(np.int64) for address in addresses]
        sums = planes[-1] << 8 * (self.planes - 1)  # the highest byte has the sign
        for n, plane in enumerate(planes[:-1]):
            sums |= (plane & 255) << 8 * n
        return sums


@dataclass(frozen=True, eq=False)
class ProgramDoors:
    """What a program has kept of its graph for the host: as the fields of `Graph`."""

    inputs: tuple[Tensor, ...]
    outputs: Mapping[str, str]
    head: HostPart | None
    tail: HostPart | None


@dataclass(frozen=True)
class CounterBlock:
    """Where a COUNTERS instruction's rows are stored; what was counted since the one before it belongs to a layer.

    channel, channels : lanes 0 … `channels` − 1 are the channels from `channel` on
    layer : whose overflows and clips they are, with `layer_channels` channels in all
    adder : the layer whose clips the adder's are, if the adder was in use; it has as many channels
    """

    address: int
    layer: str
    channel: int
    channels: int
    layer_channels: int
    adder: str | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """Instructions and data for one `AcceleratorConfig`, for one sample.

    config_hash : `AcceleratorConfig.hash` of the config it was compiled for
    instructions : at byte `program_address` of the image, 32 bytes each
    image : the external memory before the run; instructions, weights and parameters in place
    inputs, tensors : graph input name / layer name → where its codes lie; a layer that is fused into the next one
        (a convolution into its residual add, for one) has no codes in memory and is not listed
    outputs : ONNX output name → layer name
    counters : where the overflow and clip counts are stored, in the order of execution; empty without counters
    columns : lanes of the counter rows, the config's columns
    macs : multiplications of the network's shapes for one sample
    head, tail : what the host computes in front of the inputs and behind the outputs, as in `Graph`
    layers : for each instruction the name of the layer that it serves, "" for HALT; of layers that run together, the
        last one's, whose codes are stored. () where no graph was compiled. Raises ``ValueError`` for another length

    A layer's instructions need not follow each other: a LOAD may stand in front of the layer before.
    """

    config_hash: str
    instructions: tuple[Instruction, ...]
    image: bytes
    inputs: Mapping[str, Region]
    tensors: Mapping[str, Region]
    outputs: Mapping[str, str]
    counters: tuple[CounterBlock, ...]
    columns: int
    program_address: int = 0
    macs: int = 0
    head: HostPart | None = None
    tail: HostPart | None = None
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.layers and len(self.layers) != len(self.instructions):
            raise ValueError(
                f"layers must name one for each of {len(self.instructions)} instructions, not {len(self.layers)}"
            )

    @property
    def memory_bytes(self) -> int:
        """Size of the declared memory region; the accelerator touches nothing outside it."""
        return len(self.image)

    @property
    def program_bytes(self) -> int:
        """Length of the program."""
        return len(self.instructions) * INSTRUCTION_BYTES

    @property
    def doors(self) -> ProgramDoors:
        """Between the model and the program's codes."""
        tensors = tuple(region.tensor for region in self.inputs.values())
        return ProgramDoors(tensors, self.outputs, self.head, self.tail)

    def check_config(self, config: AcceleratorConfig) -> None:
        """Raise ``ValueError`` unless the program was compiled for `config`."""
        if config.hash() != self.config_hash:
            raise ValueError(
                f"the program was compiled for another config (hash {self.config_hash[:12]}), "
                f"not for this one (hash {config.hash()[:12]})"
            )

    def with_instruction(self, index: int, instruction: Instruction) -> Program:
        """The same program with one instruction replaced, in list and image."""
        at = self.program_address + index * INSTRUCTION_BYTES
        image = self.image[:at] + instruction.encode() + self.image[at + INSTRUCTION_BYTES :]
        instructions = (*self.instructions[:index], instruction, *self.instructions[index + 1 :])
        return Program(**{**self.__dict__, "image": image, "instructions": instructions})

    def images(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[bytes]:
        """One memory image per sample: the program's image with that sample's input codes in place.

        inputs : the model's own, which go through the head; without one, for every graph input float32 (quantized here)
        or int8 codes, in the model's layout, batch axis first.
        Raises what `emulator.graph.inputs.model_inputs` raises, and ``ValueError`` for a batch without samples.
        """
        codes = model_inputs(self.doors, inputs)
        count = len(next(iter(codes.values()), ()))
        if not count:
            raise ValueError("inputs must have at least one sample, not an empty batch")
        made = []
        for sample in range(count):
            image = bytearray(self.image)
            for name, region in self.inputs.items():
                region.view(image)[...] = codes[name][sample]
            made.append(bytes(image))
        return made

    def read(self, memory: bytes, layer: str) -> NDArray[Any]:
        """The codes of a layer or input out of a memory image, in the model's layout, with a batch axis of 1.

        Of a layer with `raw` it is the sums, int64.
        """
        region = self.tensors[layer] if layer in self.tensors else self.inputs[layer]
        return np.asarray(to_file_layout(region.tensor, region.values(memory)[None]))

    def read_counters(self, memory: bytes) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(overflowed, clipped) per layer and output channel, out of a memory image; fused layers too."""
        totals: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

        def total(layer: str, channels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            return totals.setdefault(layer, (np.zeros(channels, np.int64), np.zeros(channels, np.int64)))

        before = np.zeros((self.columns, 3), np.int64)
        for block in self.counters:
            rows = np.frombuffer(memory, np.uint8, COUNTER_ROWS * self.columns, block.address)
            words = np.ascontiguousarray(rows.reshape(COUNTER_ROWS, self.columns).T).view("<u4").astype(np.int64)
            words, before = (words - before) & 0xFFFFFFFF, words  # lanes count from the start of the run
            span = np.arange(block.channel, block.channel + block.channels) % block.layer_channels
            if block.layer:
                overflowed, clipped = total(block.layer, block.layer_channels)
                np.add.at(overflowed, span, words[: block.channels, 0])
                np.add.at(clipped, span, words[: block.channels, 1])
            if block.adder is not None:
                np.add.at(total(block.adder, block.layer_channels)[1], span, words[: block.channels, 2])
        return totals


def check_program(program: object) -> None:
    """Raise ``TypeError`` unless `program` is a `Program`."""
    if not isinstance(program, Program):
        raise TypeError(f"program must be a Program, as compile_graph gives it, not {type(program).__name__}")
