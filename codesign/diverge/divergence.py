"""`diverge`: the first layer, element and cycle at which two implementations of one quantized model differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler import default_config, load_model
from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig
from emulator.graph import Graph, Node, from_file_layout
from emulator.instructions import Instruction
from emulator.machine.result import RunRecord

from ..inputs import random_codes
from ..peers.runtimes import RUNTIMES, check_runtime
from .cycles import CycleDifference, first_cycle
from .element import ElementTracer
from .locate import LayerDifference, Place, compare_layers, first_place
from .run import Run, Subject, input_codes, run
from .trace import ElementTrace

SAMPLES = 4
MOST_HIDDEN = 4
"""Operands from layers that are not shown, whose own making is traced too."""


@dataclass(frozen=True)
class ElementDifference:
    """The first element that differs.

    place : layer, sample and index in the layer's stored axes; codes : implementation → its code there
    trace : how the contract makes the element from inputs on which both agree
    hidden : the same of operands that one of the two does not show, because they are fused into this layer
    """

    place: Place
    codes: dict[str, int]
    trace: ElementTrace
    hidden: tuple[ElementTrace, ...] = ()

    @property
    def right(self) -> tuple[str, ...]:
        """The implementations that have the contract's code."""
        return tuple(name for name, code in self.codes.items() if code == self.trace.code)


@dataclass(frozen=True, eq=False)
class Divergence:
    """Two implementations of one graph on the same inputs.

    implementations : the two; samples : inputs that both ran
    layers : every layer in the graph's order
    element : the first that differs; None: no code differs
    cycle : the first cycle and signal that differ; only of machine and RTL
    stops : implementation → {sample: why it did not come to its end}
    other : of machine and RTL, what else differs: cycles, counters, bytes of memory
    instructions, instruction_layers : of the program, where machine or RTL ran one, and the layer that each serves
    """

    implementations: tuple[str, str]
    samples: int
    layers: tuple[LayerDifference, ...]
    element: ElementDifference | None
    cycle: CycleDifference | None
    stops: Mapping[str, Mapping[int, str]]
    other: tuple[str, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    instruction_layers: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether nothing differs."""
        return self.element is None and self.cycle is None and not self.other and not any(self.stops.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "agree": self.agree,
            "implementations": list(self.implementations),
            "samples": self.samples,
            "layers": [asdict(layer) for layer in self.layers],
            "element": None if self.element is None else _element_dict(self.element),
            "cycle": None if self.cycle is None else asdict(self.cycle) | {"meaning": self.cycle.meaning},
            "stops": {name: {str(sample): why for sample, why in found.items()} for name, found in self.stops.items()},
            "other": list(self.other),
        }


def _element_dict(element: ElementDifference) -> dict[str, Any]:
    found = asdict(element) | {"right": list(element.right)}
    for trace in (found["trace"], *found["hidden"]):
        trace["steps"] = [{"what": step["what"], "value": step["value"]} for step in trace["steps"]]
    return found


def diverge(
    model: Graph | str | PathLike[str],
    a: str,
    b: str,
    inputs: Mapping[str, NDArray[Any]] | tuple[Any, ...] | None = None,
    *,
    config: AcceleratorConfig | None = None,
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    outputs: Sequence[str] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    file: str | PathLike[str] | None = None,
    torch_model: Any = None,
    simulator: str = "verilator",
) -> Divergence:
    """Run two implementations on the same codes and find where they part.

    model : a graph, or a model file, read by `load_model` with `arithmetic`, `override` and `outputs`
    a, b : two of `IMPLEMENTATIONS`: torch, emulator, machine, rtl, onnxruntime, tflm
    inputs : {graph input: float32 or int8 codes}, in the file's layout, batch axis first; None: `samples` random ones;
        a tuple: the arguments of `torch_model`, of which its host part makes them
    config : of machine and RTL; None: an array of 8×8 with the model's arithmetic
    file : the model file of a graph, for runtimes that read it themselves
    torch_model : what `qat.prepare` gave, where torch is one of the two; its layers have the names of the file's

    The layers before the first one that differs are equal, so what that layer reads is the same in both, and the
    contract says which of them is right. Raises ``ValueError`` for two names that are not two implementations, for a
    runtime that is not installed or reads no such file, and what reading, compiling and running raise.
    """
    if a == b:
        raise ValueError(f"a and b must be two implementations, not {a} twice")
    file = file if isinstance(model, Graph) else model
    for name in (a, b):
        if name in RUNTIMES and file is not None:
            check_runtime(name, file)
    graph = model if isinstance(model, Graph) else load_model(model, arithmetic, override, **_cut(outputs))
    graph = replace(graph, head=None, tail=None)
    arguments = inputs if isinstance(inputs, tuple) else None
    if isinstance(inputs, tuple):
        inputs = _host_inputs(torch_model, inputs)
    codes = random_codes(graph, samples, seed) if inputs is None else input_codes(graph, inputs)
    config = config or default_config(graph)
    subject = Subject(graph, config, codes, file, torch_model, arguments, simulator)
    return compare_runs(subject, (a, b), (run(a, subject), run(b, subject)))


def _host_inputs(torch_model: Any, arguments: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    if torch_model is None:
        raise ValueError("inputs must be arrays by name without a torch_model, not a tuple of its arguments")
    import qat

    return dict(qat.host_inputs(torch_model, *arguments))


def _cut(outputs: Sequence[str] | None) -> dict[str, Any]:
    return {} if outputs is None else {"outputs": outputs}


def compare_runs(subject: Subject, names: tuple[str, str], runs: tuple[Run, Run]) -> Divergence:
    """What differs between two runs of one subject; ``ValueError`` where they show nothing in common."""
    layers = compare_layers(subject.graph, runs[0].layers, runs[1].layers)
    if not any(layer.compared for layer in layers) and not any(made.stops for made in runs):
        raise ValueError(
            f"{names[0]} and {names[1]} show the codes of no layer in common: take emulator or machine for one of them"
        )
    first = next((layer.name for layer in layers if layer.differing), None)
    element = None if first is None else _element(subject, first, names, runs)
    stops = {name: made.stops for name, made in zip(names, runs, strict=True)}
    other, cycle = [], None
    if set(names) == {"machine", "rtl"}:
        records = dict(zip(names, (made.records for made in runs), strict=True))
        pairs = list(zip(records["machine"], records["rtl"], strict=True))
        sample = next((sample for sample, pair in enumerate(pairs) if pair[0].differences(pair[1])), None)
        if sample is not None:
            other = [f"sample {sample}: {text}" for text in pairs[sample][0].differences(pairs[sample][1])]
            where = subject.images[sample], sample, subject.simulator
            cycle = first_cycle(subject.config, subject.program, *where)
    ran_program = any(isinstance(record, RunRecord) for made in runs for record in made.records)
    return Divergence(
        implementations=names,
        samples=subject.samples,
        layers=layers,
        element=element,
        cycle=cycle,
        stops=stops,
        other=tuple(other),
        instructions=subject.program.instructions if ran_program else (),
        instruction_layers=subject.program.layers if ran_program else (),
    )


def _element(subject: Subject, layer: str, names: tuple[str, str], runs: tuple[Run, Run]) -> ElementDifference:
    graph = subject.graph
    node = graph.tensor(layer)
    assert isinstance(node, Node)
    arrays = [made.layers[layer] for made in runs]
    place = first_place(node, *arrays)
    assert place is not None
    found = {
        name: int(from_file_layout(node, array)[(place.sample, *place.index)])
        for name, array in zip(names, arrays, strict=True)
    }
    # What both show; the layers before this one are equal in both.
    shown = dict(subject.codes) | {name: codes for name, codes in runs[0].layers.items() if name in runs[1].layers}
    known = {
        name: from_file_layout(graph.tensor(name), np.asarray(codes))[place.sample] for name, codes in shown.items()
    }
    tracer = ElementTracer(graph, {name: codes for name, codes in known.items() if name != layer})
    trace = tracer.trace(layer, place.index)
    hidden = [
        tracer.trace(operand.tensor, operand.place)
        for operand in trace.operands
        if operand.place is not None and not tracer.known(operand.tensor)
    ]
    return ElementDifference(place, found, trace, tuple(hidden[:MOST_HIDDEN]))
