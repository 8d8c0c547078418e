"""`Execution`: one model on the same inputs in the emulator, in the machine and in the RTL, and whether all agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler import compile_graph
from emulator.config import AcceleratorConfig
from emulator.graph import Codes, Graph, file_shape
from emulator.graph.inputs import model_outputs
from emulator.graph.run import LayerCounts, run_graph_counts
from emulator.instructions import Opcode, instruction
from emulator.machine import Machine
from emulator.machine.result import Result
from emulator.program import Program
from emulator.timing import DEFAULT_LATENCY

from ..files import replacing
from ..inputs import graph_codes
from .comparison import counter_mismatches, emulator_counters, memory_mismatches, mismatches, output_mismatches
from .profile import LayerProfile, profile
from .timeline import Span, spans

OnSample = Callable[[int], None]
"""Called with 0 when all is compiled, then with the number of samples done."""
OnCycles = Callable[[int], None]
"""Called with 0 when the simulator is built, then with the cycles simulated so far, of all samples together."""


def compile_machine() -> None:
    """Compile the machine's cycle loop, half a minute on the first use, or read it from the disk."""
    halt = instruction(Opcode.HALT).encode()
    Machine(AcceleratorConfig()).execute([halt])


@dataclass(eq=False)
class Execution:
    """A model's codes and counters from up to three implementations.

    own : {input of the model: array}, as `run_graph` takes them
    inputs : {input of the graph: int8 codes} that its head, if it has one, has made of them
    core : the graph without its host parts, which all implementations run
    layers, counts : the emulator's, of every layer
    machine, rtl : None where that was not run; they ran the first samples
    latency : of the external memory, in cycles
    """

    graph: Graph
    config: AcceleratorConfig
    own: Mapping[str, NDArray[Any]]
    latency: int = DEFAULT_LATENCY
    inputs: dict[str, Codes] = field(init=False)
    core: Graph = field(init=False)
    layers: dict[str, Codes] = field(init=False)
    counts: dict[str, LayerCounts] = field(init=False)
    program: Program | None = None
    machine: Result | None = None
    rtl: Result | None = None

    def __post_init__(self) -> None:
        self.inputs = graph_codes(self.graph, self.own)
        self.core = replace(self.graph, head=None, tail=None)
        self.layers, self.counts = run_graph_counts(self.core, self.inputs)

    @property
    def samples(self) -> int:
        """Samples that the emulator ran."""
        return len(next(iter(self.inputs.values())))

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """{output of the model: its array} of the emulator: codes, or what the graph's tail makes of codes and sums."""
        every = {**self.inputs, **self.layers}
        return self._shown({output: every[name] for output, name in self.graph.outputs.items()})

    def compile(self) -> Program:
        """The program for `config`, compiled once."""
        if self.program is None:
            self.program = compile_graph(self.core, self.config)
        return self.program

    def _first(self, samples: int | None) -> dict[str, Codes]:
        return {name: codes[:samples] for name, codes in self.inputs.items()}

    def run_machine(self, samples: int | None = None, on_progress: OnSample | None = None) -> Result:
        """Run the first `samples` (None: all) in the machine."""
        program = self.compile()
        compile_machine()
        if on_progress is not None:
            on_progress(0)
        machine = Machine(self.config, self.latency)
        self.machine = machine.run(program, self._first(samples), on_progress=on_progress, timeline=True)
        return self.machine

    def timeline(self) -> list[Span]:
        """When the machine executed which instruction in its run of the first sample."""
        assert self.machine is not None and self.machine.first.timeline is not None
        program = self.compile()
        return spans(program.instructions, self.machine.first.timeline, program.layers)

    def profile(self) -> list[LayerProfile]:
        """What each layer cost in the machine's run of the first sample."""
        assert self.machine is not None
        return profile(self.compile(), self.config, self.machine.first, self.core)

    def run_rtl(
        self,
        samples: int | None = None,
        on_progress: OnCycles | None = None,
        simulator: str = "verilator",
        trace: str | PathLike[str] | None = None,
    ) -> Result:
        """Run the first `samples` (None: all) in the simulated RTL; `trace` is a waveform file."""
        from rtl import simulate

        def run(file: PathLike[str] | None) -> Result:
            return simulate(
                self.compile(),
                self.config,
                self._first(samples),
                simulator=simulator,
                latency=self.latency,
                on_progress=on_progress,
                trace=file,
            )

        if trace is None:
            self.rtl = run(None)
        else:
            with replacing(trace) as temporary:
                self.rtl = run(temporary)
        return self.rtl

    def layer_mismatches(self) -> dict[str, dict[str, int]]:
        """{"emulator_machine", "machine_rtl": {layer: codes that differ}}, of the pairs that were run."""
        found = {}
        if self.machine is not None:
            stored = {name: self.layers[name] for name in self.machine.layers}  # the others are fused into the next one
            found["emulator_machine"] = mismatches(stored, self.machine.layers)
            if self.rtl is not None:
                found["machine_rtl"] = mismatches(self.machine.layers, self.rtl.layers)
        return found

    def other_mismatches(self) -> dict[str, int]:
        """Numbers of counters, bytes of memory and run counters that differ, of the pairs that were run.

        Where the host computes the model's outputs, those too.
        """
        found: dict[str, int] = {}
        if self.machine is None:
            return found
        samples = len(self.machine.cycles_per_sample)
        counts = self.counts if samples == self.samples else run_graph_counts(self.core, self._first(samples))[1]
        counters = emulator_counters(counts, list(self.machine.counters["overflowed"]))
        found["emulator_machine_counters"] = counter_mismatches(counters, self.machine.counters)
        if self.graph.tail is not None:
            machine = self._shown(self.machine.outputs)
            found["emulator_machine_outputs"] = output_mismatches(self.outputs, machine)
            if self.rtl is not None:
                found["machine_rtl_outputs"] = output_mismatches(machine, self._shown(self.rtl.outputs))
        if self.rtl is not None:
            found["machine_rtl_counters"] = counter_mismatches(self.machine.counters, self.rtl.counters)
            found["machine_rtl_memory"] = memory_mismatches(self.machine, self.rtl)
            ours, theirs = self.machine.telemetry, self.rtl.telemetry
            found["machine_rtl_telemetry"] = sum(ours[name] != theirs[name] for name in ours)
        return found

    def _shown(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        samples = len(next(iter(outputs.values()), ()))
        return model_outputs(self.graph, outputs, {name: array[:samples] for name, array in self.own.items()})

    def utilization(self) -> float | None:
        """Multiplications / (cycles × rows × columns) of the machine's run, 0 to 1."""
        if self.machine is None or self.program is None:
            return None
        samples = len(self.machine.cycles_per_sample)
        return self.program.macs * samples / (self.machine.cycles * self.config.rows * self.config.columns)

    @property
    def holds(self) -> bool:
        """Whether nothing differs, cycles included, between all that were run."""
        codes = all(not count for pair in self.layer_mismatches().values() for count in pair.values())
        cycles = (
            self.machine is None or self.rtl is None or self.machine.cycles_per_sample == self.rtl.cycles_per_sample
        )
        return codes and cycles and not any(self.other_mismatches().values())

    def layer_rows(self) -> list[dict[str, Any]]:
        """One entry a layer: name, operator, shape, sums that overflowed, outputs that clipped, mismatches per pair.

        A layer whose codes are nowhere in memory, because it is fused into the next one, has None for a mismatch.
        """
        differing = self.layer_mismatches()
        rows = []
        for node in self.graph.nodes:
            counts = self.counts[node.name]
            rows.append(
                {
                    "name": node.name,
                    "operator": type(node).__name__,
                    "shape": list(file_shape(node)),
                    "outputs": int(self.layers[node.name].size),
                    "overflows": int(counts.overflows.sum()),
                    "clips": int(counts.clips.sum()),
                    "mismatches": {pair: found.get(node.name) for pair, found in differing.items()},
                }
            )
        return rows


def output_values(graph: Graph, outputs: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, Any]]:
    """For JSON: {output of the model: scale, zero point and codes}; the real value is (code − zero_point) · scale.

    An output that the host computes has its type and its values; NaN and infinities are text.
    """
    shown: dict[str, dict[str, Any]] = {}
    hosted = () if graph.tail is None else graph.tail.outputs
    for name, array in outputs.items():
        if name in hosted:
            shown[name] = {"type": str(array.dtype), "values": _plain(array)}
        else:
            tensor = graph.tensor(graph.outputs[name])
            shown[name] = {"scale": float(tensor.scale), "zero_point": tensor.zero_point, "codes": array.tolist()}
    return shown


def _plain(array: NDArray[Any]) -> Any:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    values = array.astype(object)
    values[~np.isfinite(array)] = [str(value) for value in array[~np.isfinite(array)]]
    return values.tolist()
