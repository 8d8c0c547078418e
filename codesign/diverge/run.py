"""Running one of the implementations on a graph: its layers' codes, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler import compile_graph
from emulator.config import AcceleratorConfig
from emulator.graph import Graph, file_shape, to_file_layout
from emulator.graph.inputs import check_inputs
from emulator.graph.run import run_graph
from emulator.instructions import Error
from emulator.machine import Machine
from emulator.machine.result import RunRecord
from emulator.operators.quantize import dequantize
from emulator.program import Program

from ..peers.counterparts import Counterparts

Layers = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """What the implementations run.

    graph : without host parts
    codes : {input: int8 codes in the file's layout, batch axis first}
    file : the model file; None: there is none
    torch_model : what `qat.prepare` gave; None: there is none
    torch_inputs : its arguments; None: the real numbers of the codes
    """

    graph: Graph
    config: AcceleratorConfig
    codes: Mapping[str, NDArray[np.int8]]
    file: str | PathLike[str] | None = None
    torch_model: Any = None
    torch_inputs: tuple[Any, ...] | None = None
    simulator: str = "verilator"

    @cached_property
    def program(self) -> Program:
        """The graph compiled for the config."""
        return compile_graph(self.graph, self.config)

    @cached_property
    def images(self) -> list[bytes]:
        """The memory before the run of each sample."""
        return self.program.images(self.codes)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.codes.values())))


@dataclass(frozen=True, eq=False)
class Run:
    """What an implementation made.

    layers : {layer: its codes in the file's layout, batch axis first}; what it does not show is absent
    stops : {sample: why it did not come to its end}
    records : of machine and RTL, one a sample
    """

    layers: Layers
    stops: Mapping[int, str] = field(default_factory=dict)
    records: Sequence[RunRecord] = ()


def run(implementation: str, subject: Subject) -> Run:
    """Run `implementation`, one of `IMPLEMENTATIONS`, on the subject.

    Raises ``ValueError`` for an unknown one, and for torch without a model and a runtime without a file.
    """
    if implementation not in _RUNS:
        raise ValueError(f"an implementation must be one of {', '.join(_RUNS)}, not {implementation!r}")
    return _RUNS[implementation](subject)


def _emulator(subject: Subject) -> Run:
    return Run(run_graph(subject.graph, subject.codes, every=True))


def _machine(subject: Subject) -> Run:
    program = subject.program
    records = Machine(subject.config).execute(subject.images, program.program_address, program.program_bytes)
    return _recorded(program, records)


def _rtl(subject: Subject) -> Run:
    from rtl.simulate import simulate_images

    program = subject.program
    where = program.program_address, program.program_bytes
    records = simulate_images(subject.config, subject.images, *where, simulator=subject.simulator, observable=True)
    return _recorded(program, records)


def _recorded(program: Program, records: Sequence[RunRecord]) -> Run:
    layers = {
        name: np.concatenate([program.read(record.memory, name) for record in records]) for name in program.tensors
    }
    stops = {}
    for sample, record in enumerate(records):
        if record.error != Error.NONE:
            index = record.error_index
            known = index < len(program.instructions)
            what = program.instructions[index].opcode.name if known else "beyond the program"
            stops[sample] = f"error {Error(record.error).name} at instruction {index} ({what})"
    return Run(layers, stops, records)


def _torch(subject: Subject) -> Run:
    if subject.torch_model is None:
        raise ValueError("torch needs the model that qat.prepare gave, as `torch_model`; a file does not hold it")
    import torch

    import qat

    arguments = subject.torch_inputs
    if arguments is None:
        arguments = tuple(
            torch.from_numpy(dequantize(subject.codes[tensor.name], tensor.scale, tensor.zero_point))
            for tensor in subject.graph.inputs
        )
    found = qat.codes(subject.torch_model, *arguments)
    return Run({name: np.asarray(codes) for name, codes in found.items()})


def _onnxruntime(subject: Subject) -> Run:
    if subject.file is None:
        raise ValueError("onnxruntime needs the ONNX file that the graph was read from, not the graph alone")
    from ..peers.onnx_slices import OnnxSlices

    slices, counterparts = OnnxSlices(subject.file), Counterparts(subject.graph)
    return Run(slices.layers(counterparts, subject.codes))


def _tflm(subject: Subject) -> Run:
    if subject.file is None:
        raise ValueError("tflm needs the TFLite file that the graph was read from, not the graph alone")
    from ..peers.process import run_peer

    graph, counterparts = subject.graph, Counterparts(subject.graph)
    unsigned = graph.metadata.get("unsigned_inputs", ())
    inputs = {
        counterparts.held[name]: counterparts.to_file(name, codes, np.uint8 if name in unsigned else np.int8)
        for name, codes in subject.codes.items()
    }
    found = counterparts.layers(run_peer("tflm", Path(subject.file), inputs, every=True))
    return Run({name: codes.reshape(len(codes), *file_shape(graph.tensor(name))) for name, codes in found.items()})


_RUNS: dict[str, Callable[[Subject], Run]] = {
    "torch": _torch,
    "emulator": _emulator,
    "machine": _machine,
    "rtl": _rtl,
    "onnxruntime": _onnxruntime,
    "tflm": _tflm,
}
IMPLEMENTATIONS = tuple(_RUNS)
"""The implementations that can be compared."""


def input_codes(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int8]]:
    """The codes of the graph's own inputs, in the file's layout; raises what `check_inputs` raises."""
    return {
        name: to_file_layout(graph.tensor(name), codes) for name, codes in check_inputs(graph.inputs, inputs).items()
    }
