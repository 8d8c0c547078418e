"""`Program`: what the accelerator runs: instructions, the image of its external memory and a map of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .config import AcceleratorConfig
from .graph import Codes, Tensor, to_logical
from .inputs import check_inputs
from .instructions import COUNTER_ROWS, INSTRUCTION_BYTES, Instruction


@dataclass(frozen=True)
class Region:
    """Bytes of external memory that hold a tensor: contiguous, one byte per code, channels fastest."""

    address: int
    tensor: Tensor

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.tensor.shape, dtype=np.int64))


@dataclass(frozen=True)
class CounterBlock:
    """Where a COUNTERS instruction's rows are stored: `channels` channels from `channel` on of layer `layer`."""

    address: int
    layer: str
    channel: int
    channels: int


@dataclass(frozen=True, eq=False)
class Program:
    """Instructions and data for one `AcceleratorConfig`, for one sample.

    config_hash : `AcceleratorConfig.hash` of the config it was compiled for
    instructions : at byte `program_address` of the image, 32 bytes each
    image : the external memory before the run; instructions, weights and parameters in place
    inputs, tensors : graph input name / layer name → where its codes lie
    outputs : ONNX output name → layer name
    counters : where the overflow and clip counts are stored, empty without counters
    columns : lanes of the counter rows, the config's columns
    macs : multiplications of the network's shapes for one sample
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

    @property
    def memory_bytes(self) -> int:
        """Size of the declared memory region; the accelerator touches nothing outside it."""
        return len(self.image)

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

        inputs : for every graph input float32 (quantized here) or int8 codes, in the model's layout, batch axis first.
        Raises what `emulator.inputs.check_inputs` raises, and ``ValueError`` for a batch without samples.
        """
        codes = check_inputs([region.tensor for region in self.inputs.values()], inputs)
        count = len(next(iter(codes.values()), ()))
        if not count:
            raise ValueError("inputs must have at least one sample, not an empty batch")
        made = []
        for sample in range(count):
            image = bytearray(self.image)
            for name, region in self.inputs.items():
                image[region.address : region.address + region.size] = codes[name][sample].tobytes()
            made.append(bytes(image))
        return made

    def read(self, memory: bytes, layer: str) -> Codes:
        """The codes of a layer or input out of a memory image, in the model's layout, with a batch axis of 1."""
        region = self.tensors[layer] if layer in self.tensors else self.inputs[layer]
        flat = np.frombuffer(memory, np.int8, region.size, region.address)
        return np.asarray(to_logical(flat.reshape(1, *region.tensor.shape)))

    def read_counters(self, memory: bytes) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """(overflowed, clipped) per layer and output channel, out of a memory image."""
        totals: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for block in self.counters:
            channels = self.tensors[block.layer].tensor.shape[-1]
            overflowed, clipped = totals.setdefault(
                block.layer, (np.zeros(channels, np.int64), np.zeros(channels, np.int64))
            )
            rows = np.frombuffer(memory, np.uint8, COUNTER_ROWS * self.columns, block.address)
            words = np.ascontiguousarray(rows.reshape(COUNTER_ROWS, self.columns).T).view("<u4").astype(np.int64)
            span = slice(block.channel, block.channel + block.channels)
            overflowed[span] += words[: block.channels, 0]
            clipped[span] += words[: block.channels, 1]
        return totals


def check_program(program: object) -> None:
    """Raise ``TypeError`` unless `program` is a `Program`."""
    if not isinstance(program, Program):
        raise TypeError(f"program must be a Program, as compile_graph gives it, not {type(program).__name__}")
