"""`Machine`: runs a `Program` as the accelerator does, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import check_integer
from ..config import AcceleratorConfig
from ..instructions import INSTRUCTION_BYTES, Error
from ..program import Program, check_program
from ..registers import COUNTERS, LANE_COUNTER_BITS
from ..timing import DEFAULT_LATENCY, MAX_LATENCY
from .result import Result, RunRecord, make_result
from .state import State

CHUNK = 1 << 22
"""Cycles between two chances to interrupt a run."""


def _one_per_image(name: str, value: int | Sequence[int] | None, images: Sequence[bytes]) -> list[int | None]:
    if value is None or isinstance(value, int):
        return [value] * len(images)
    if len(value) != len(images):
        raise ValueError(f"{name} must have one entry per image ({len(images)}), not {len(value)}")
    return list(value)


def check_images(
    config: AcceleratorConfig,
    images: Sequence[bytes],
    program_address: int | Sequence[int],
    program_bytes: int | Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """(program address, program bytes) per image; a program whose length is not given reaches to its image's end.

    Raises ``ValueError`` for another number of entries, an address or a length that is no multiple of an instruction's,
    and an image that is empty, not made of whole bus words, or larger than 2^32 − 1 bytes.
    """
    addresses = _one_per_image("program_address", program_address, images)
    lengths = _one_per_image("program_bytes", program_bytes, images)
    made = []
    for image, address, length in zip(images, addresses, lengths, strict=True):
        if len(image) % config.bus_bytes or not 0 < len(image) < 1 << 32:
            raise ValueError(
                f"an image's length must be positive and a multiple of bus_bytes ({config.bus_bytes}) below 2^32, "
                f"not {len(image)}"
            )
        if length is None:
            length = max(len(image) - (address or 0), 0) // INSTRUCTION_BYTES * INSTRUCTION_BYTES
        for name, value in (("program_address", address), ("program_bytes", length)):
            if value is None or value % INSTRUCTION_BYTES or not 0 <= value < 1 << 32:
                raise ValueError(f"{name} must be a multiple of {INSTRUCTION_BYTES} below 2^32, not {value}")
        made.append((address or 0, length))
    return made


class Machine:
    """The accelerator of `config` behind a memory.

    latency : cycles from a read's address to its first beat, and from a write's last beat to its response
    seed : first state of the register that stalls the bus, 32 bits; 0: no stalls
    error_range : first and last byte of the region to which the memory answers with an error, or None
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        latency: int = DEFAULT_LATENCY,
        seed: int = 0,
        error_range: tuple[int, int] | None = None,
    ):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"config must be an AcceleratorConfig, not {type(config).__name__}")
        check_integer("latency", latency, 1, MAX_LATENCY)
        check_integer("seed", seed, 0, (1 << 32) - 1)
        if error_range is not None and not 0 <= error_range[0] <= error_range[1] < 1 << 32:
            raise ValueError(f"error_range must be two rising byte addresses below 2^32, not {error_range!r}")
        self.config, self.latency, self.seed, self.error_range = config, latency, seed, error_range

    def run(
        self,
        program: Program,
        inputs: Mapping[str, NDArray[np.generic]],
        on_progress: Callable[[int], None] | None = None,
        timeline: bool = False,
    ) -> Result:
        """Run the program once per sample.

        inputs : the model's own, batch axis first, which go through the program's head; without one graph input name →
        float32 or int8 codes, the model's layout
        on_progress : called with the number of samples done
        timeline : record when each instruction of the first sample began and ended

        Raises ``ValueError`` if the program is for another config or an input is wrong, `StoppedError` if the
        accelerator stops with an error.
        """
        check_program(program)
        program.check_config(self.config)
        images = program.images(inputs)
        records = self.execute(
            images, program.program_address, program.program_bytes, on_progress=on_progress, timeline=timeline
        )
        return make_result(program, records, inputs)

    def execute(
        self,
        images: Sequence[bytes],
        program_address: int | Sequence[int] = 0,
        program_bytes: int | Sequence[int] | None = None,
        *,
        on_progress: Callable[[int], None] | None = None,
        timeline: bool = False,
        reset_at: int | Sequence[int | None] | None = None,
    ) -> list[RunRecord]:
        """Run whatever program lies in each memory image, one after the other on the same hardware.

        program_address, program_bytes : the same in every image, or one per image
        timeline : record when each instruction began and ended
        reset_at : cycle (at least 2) in which a soft reset is written to the control register, or None; the same in
            every run, or one per image

        Raises what `check_images` raises.
        """
        checked = check_images(self.config, images, program_address, program_bytes)
        from .state.state import allocate  # with the compiler of the loop

        state, records = allocate(self.config), list[RunRecord]()
        resets = reset_at if isinstance(reset_at, Sequence) else [reset_at] * len(images)
        for image, (address, length), reset in zip(images, checked, resets, strict=True):
            records.append(self._run_image(state, image, address, length, timeline, reset))
            if on_progress is not None:
                on_progress(len(records))
        return records

    def cycles(self, image: bytes, program_address: int = 0, program_bytes: int | None = None) -> Iterator[State]:
        """The state after each cycle of one run, from the first after the start on: one object, which changes.

        What depends on registers alone (`State`'s wires: handshakes, issues, ends) is that of the cycle that has ended.
        Tens of thousands of cycles a second, not millions. Raises what `check_images` raises.
        """
        ((address, length),) = check_images(self.config, [image], program_address, program_bytes)
        from . import loop
        from .state.state import allocate

        state = self._start(allocate(self.config), image, address, length, 0, None)
        run, control = loop.run.bind(state), state.control
        while control["running"][0]:
            run(int(control["now"][0]) + 1)
            yield state

    def _run_image(
        self, state: State, image: bytes, address: int, length: int, timeline: bool, reset_at: int | None
    ) -> RunRecord:
        from . import loop

        instructions = min(length // INSTRUCTION_BYTES, len(image) // INSTRUCTION_BYTES) if timeline else 0
        state = self._start(state, image, address, length, instructions, reset_at)
        control = state.control
        while control["running"][0]:
            loop.run(state, int(control["now"][0]) + CHUNK)
        return RunRecord(
            memory=state.memory.tobytes(),
            cycles=int(control["now"][0]),
            error=Error(int(control["error"][0])),
            error_index=int(control["error_index"][0]),
            counters=dict(zip(COUNTERS, map(int, state.counters), strict=True)),
            lane_counters=state.lane_counters & ((1 << LANE_COUNTER_BITS) - 1),
            timeline=state.timeline if timeline else None,
        )

    def _start(
        self, state: State, image: bytes, address: int, length: int, instructions: int, reset_at: int | None
    ) -> State:
        """The state of cycle 2 of a run; `instructions` have an entry in its timeline."""
        from .front_end import fetch
        from .state import external
        from .state.state import clear_run

        state = state._replace(
            memory=np.frombuffer(image, np.uint8).copy(), timeline=np.full((instructions, 3), -1, np.int64)
        )
        clear_run(state)
        external.configure(state.external, self.latency, self.seed, *(self.error_range or (1, 0)))
        control = state.control
        control["program_address"], control["program_bytes"], control["memory_bytes"] = address, length, len(image)
        control["reset_at"] = reset_at or 0
        control["running"], control["now"] = 1, 2
        fetch.start(state)
        return state
