"""`Machine`: runs a `Program` as the accelerator does, instruction by instruction, and counts its cycles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..config import AcceleratorConfig
from ..instructions import INSTRUCTION_BYTES, Error, Instruction, Opcode, decode
from ..program import Program, check_program
from ..timing import DECODE_CYCLES, DEFAULT_LATENCY, fetch_cycles
from . import post_process
from .convolve import Convolve
from .result import Result, RunRecord, make_result
from .state import State
from .transfer import load, store


def check_images(config: AcceleratorConfig, images: Sequence[bytes], program_address: int | Sequence[int]) -> list[int]:
    """One program address per image.

    Raises ``ValueError`` for another number of addresses, an address that is not that of a memory word, and an image
    that is empty, not made of whole words, or larger than 2^32 − 1 bytes.
    """
    addresses = [program_address] * len(images) if isinstance(program_address, int) else list(program_address)
    if len(addresses) != len(images):
        raise ValueError(f"program_address must have one entry per image ({len(images)}), not {len(addresses)}")
    words = f"a multiple of bus_bytes ({config.bus_bytes}) below 2^32"
    for address in addresses:
        if address % config.bus_bytes or not 0 <= address < 1 << 32:
            raise ValueError(f"program_address must be {words}, not {address}")
    for image in images:
        if len(image) % config.bus_bytes or not 0 < len(image) < 1 << 32:
            raise ValueError(f"an image's length must be positive and {words}, not {len(image)}")
    return addresses


class Machine:
    """The accelerator of `config` behind a memory that answers each read `latency` cycles after accepting it."""

    def __init__(self, config: AcceleratorConfig, latency: int = DEFAULT_LATENCY):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"config must be an AcceleratorConfig, not {type(config).__name__}")
        if type(latency) is not int or latency < 1:
            raise ValueError(f"latency must be a positive integer, not {latency!r}")
        self.config, self.latency = config, latency

    def run(
        self,
        program: Program,
        inputs: Mapping[str, NDArray[np.generic]],
        on_progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Run the program once per sample.

        inputs : graph input name → float32 or int8 codes, batch axis first, the model's layout
        on_progress : called with the number of samples done

        Raises ``ValueError`` if the program is for another config or an input is wrong, `StoppedError` if the
        accelerator stops with an error.
        """
        check_program(program)
        program.check_config(self.config)
        records = self.execute(program.images(inputs), program.program_address, on_progress)
        return make_result(program, records)

    def execute(
        self,
        images: Sequence[bytes],
        program_address: int | Sequence[int] = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[RunRecord]:
        """Run whatever program lies in each memory image, one after the other on the same hardware.

        program_address : the same in every image, or one per image

        Raises what `check_images` raises.
        """
        addresses = check_images(self.config, images, program_address)
        state, records = State(self.config), list[RunRecord]()
        for image, address in zip(images, addresses, strict=True):
            records.append(self._run_image(state, image, address))
            if on_progress is not None:
                on_progress(len(records))
        return records

    def _run_image(self, state: State, image: bytes, program_address: int) -> RunRecord:
        memory = np.frombuffer(image, np.int8).copy()
        state.clear_counters()
        cycles, index, counter = 0, 0, program_address
        while True:
            if counter + INSTRUCTION_BYTES > len(memory):
                return RunRecord(memory.tobytes(), cycles + 1, Error.ADDRESS, index)
            cycles += fetch_cycles(self.config, self.latency) + DECODE_CYCLES
            error, instruction = decode(memory[counter : counter + INSTRUCTION_BYTES].tobytes())
            if instruction is not None and instruction.opcode == Opcode.COUNTERS and not self.config.counters:
                error, instruction = Error.OPCODE, None
            if instruction is None or instruction.opcode == Opcode.HALT:
                return RunRecord(memory.tobytes(), cycles, error, index)
            executed, fault = self._execute(state, memory, instruction)
            cycles += executed
            if fault:
                return RunRecord(memory.tobytes(), cycles, Error.ADDRESS, index)
            counter, index = counter + INSTRUCTION_BYTES, index + 1

    def _execute(self, state: State, memory: NDArray[np.int8], instruction: Instruction) -> tuple[int, bool]:
        match instruction.opcode:
            case Opcode.LOAD:
                return load(state, memory, instruction, self.latency)
            case Opcode.STORE:
                return store(state, memory, instruction)
            case Opcode.CONVOLVE:
                return Convolve(state, instruction).run()
            case Opcode.REQUANTIZE:
                steps, fault = post_process.requantize(state, instruction)
            case Opcode.POOL:
                steps, fault = post_process.Pool(state, instruction).run()
            case Opcode.PARAMETERS:
                steps, fault = post_process.parameters(state, instruction)
            case _:
                steps, fault = post_process.counters(state, instruction)
        return post_process.cycles(state, steps), fault
