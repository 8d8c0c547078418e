"""`validate`: the emulator against a runtime of the same file (``lockstep validate MODEL``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

from numpy.typing import NDArray

from compiler import load_model
from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from ..inputs import random_model_inputs
from ..peers.runtimes import check_runtime, is_tflite
from .comparison import LayerComparison, OutputComparison

HOST = 2.0**-14  # how far float32 arithmetic of a host part may move a value, relative to the largest of its output


@dataclass(frozen=True)
class Validation:
    """What differs from a runtime.

    arithmetic : the model's own; layers : at it; reference : at the arithmetic that the runtime computes in
    session : of ONNX Runtime, `reference` in sessions with default options, whose fused kernels round on their own
    outputs : the model's outputs, from its own inputs on, at the runtime's arithmetic
    hosts : the same outputs from equal codes on: what the host parts alone make of them
    plain : the same outputs from end to end in a session of ONNX Runtime without optimizations
    """

    runtime: str
    arithmetic: Arithmetic
    layers: tuple[LayerComparison, ...]
    reference: tuple[LayerComparison, ...]
    session: tuple[LayerComparison, ...] = ()
    outputs: tuple[OutputComparison, ...] = ()
    hosts: tuple[OutputComparison, ...] = ()
    plain: tuple[OutputComparison, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether, at the runtime's own arithmetic, everything is equal or explained."""
        layers = all(layer.explained for layer in (*self.reference, *self.session))
        return layers and all(self.reason(output) is not None for output in self.outputs)

    def reason(self, output: OutputComparison) -> str | None:
        """Why an output is as it is: equal, or differing for a known reason; None: for no known one."""
        if not output.differing:
            return "equal"
        host = next((found for found in self.hosts if found.name == output.name), None)
        if output.relative <= HOST:
            return "float32 of the host part"
        layers = any(layer.differing for layer in (*self.reference, *self.session))
        if layers and (host is None or host.relative <= HOST):
            return "the layers that differ"
        if any(found.name == output.name and not found.differing for found in self.plain):
            return "optimizations across layers"  # the runtime's own: without them it has our values
        return None

    @property
    def unexplained(self) -> tuple[str, ...]:
        """The layers and outputs whose differences have no known reason."""
        layers = [layer.name for layer in (*self.reference, *self.session) if not layer.explained]
        outputs = [f"output {output.name}" for output in self.outputs if self.reason(output) is None]
        return tuple(dict.fromkeys([*layers, *outputs]))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {
            "holds": self.holds,
            "against": self.runtime,
            "arithmetic": self.arithmetic.as_dict(),
            "unexplained": list(self.unexplained),
        }
        for part in ("layers", "reference", "session"):
            found[part] = [asdict(layer) | {"reason": layer.reason} for layer in getattr(self, part)]
        found["outputs"] = [asdict(output) | {"reason": self.reason(output)} for output in self.outputs]
        return found


def validate(
    path: str | PathLike[str],
    inputs: Mapping[str, NDArray[Any]] | None = None,
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    images: int = 16,
    seed: int = 0,
    *,
    against: str | None = None,
    outputs: Sequence[str] | None = None,
) -> Validation:
    """Compare every layer of a quantized model with another runtime, each on equal inputs, and the whole model.

    inputs : {input of the model: array} in the file's layout; None takes `images` random ones
    arithmetic, override, outputs : as `load_model` takes them
    against : one of `RUNTIMES`; None: ONNX Runtime for an ONNX file, TFLM for a TFLite file

    A runtime has its own arithmetic: ONNX Runtime and LiteRT compute like 32-bit accumulators with an exact product
    that is rounded half to even, TFLM like `Arithmetic.tflm`. Where the model's is another one, differences are
    legitimate, and `Validation.reference` has the same layers at the runtime's. Raises ``ValueError`` for a runtime
    that does not read the file's format or is not installed, and for what either side cannot read.
    """
    tflite = is_tflite(path)
    runtime = against or ("tflm" if tflite else "onnxruntime")
    check_runtime(runtime, path)
    cut = {} if outputs is None else {"outputs": outputs}

    def read(chosen: Arithmetic | None, forced: bool) -> Graph:
        return load_model(path, chosen, forced, **cut)

    graph = read(arithmetic, override)
    compare = _tflite if tflite else _onnx
    return compare(path, runtime, graph, read, inputs, images, seed)


Read = Callable[[Arithmetic | None, bool], Graph]


def _onnx(
    path: str | PathLike[str],
    runtime: str,
    graph: Graph,
    read: Read,
    inputs: Mapping[str, NDArray[Any]] | None,
    images: int,
    seed: int,
) -> Validation:
    from ..peers.onnx_slices import OnnxSlices
    from .onnx import OnnxComparison, runtime_arithmetic

    slices = OnnxSlices(path)
    count = images if slices.batch is None else -(-images // slices.batch) * slices.batch
    arrays = dict(random_model_inputs(graph, count, seed) if inputs is None else inputs)
    if slices.batch is not None:
        for name, array in arrays.items():
            if array.shape[:1] and array.shape[0] % slices.batch:
                raise ValueError(f"input {name!r} must be whole batches of {slices.batch}, not {array.shape[0]} images")
    wide = runtime_arithmetic(graph.arithmetic)
    own = OnnxComparison(graph, slices, arrays)
    same = wide == graph.arithmetic
    other = own if same else OnnxComparison(read(wide, True), slices, arrays)
    layers = own.layers()
    return Validation(
        runtime,
        graph.arithmetic,
        layers,
        layers if same else other.layers(),
        other.layers(optimized=True),
        other.outputs(),
        other.host_outputs(),
        other.outputs(optimized=False),
    )


def _tflite(
    path: str | PathLike[str],
    runtime: str,
    graph: Graph,
    read: Read,
    inputs: Mapping[str, NDArray[Any]] | None,
    images: int,
    seed: int,
) -> Validation:
    from .tflite import TfliteComparison

    arrays = dict(random_model_inputs(graph, images, seed) if inputs is None else inputs)
    theirs = Arithmetic.tflm() if runtime == "tflm" else Arithmetic()
    own = TfliteComparison(graph, path, arrays, runtime)
    same = theirs == graph.arithmetic
    other = own if same else TfliteComparison(read(theirs, True), path, arrays, runtime)
    layers = own.layers()
    return Validation(
        runtime, graph.arithmetic, layers, layers if same else other.layers(), (), other.outputs(), other.host_outputs()
    )
