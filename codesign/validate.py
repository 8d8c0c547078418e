"""`validate`: the emulator against ONNX Runtime, layer by layer on equal inputs (``lockstep validate MODEL.onnx``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler import load_onnx
from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor, to_logical
from emulator.inputs import check_inputs
from emulator.quantize import dequantize
from emulator.run import run_graph_counts

from .peers.onnx_slices import OnnxSlices

TIE = 2.0**-12  # how near to a tie float32 arithmetic may round the other way, in steps of the output's scale


@dataclass(frozen=True)
class LayerComparison:
    """One layer on the emulator's own input codes.

    compared, differing : numbers of codes; largest : the largest difference
    tie_distance : of the differing codes, the farthest from a tie before rounding, in codes; None if none differs
    bias_error : how far rounding a float bias can move a result, in codes; ONNX Runtime adds the float
    overflows : sums that left the accumulator's range
    """

    name: str
    operator: str
    compared: int
    differing: int
    largest: int
    tie_distance: float | None
    bias_error: float
    overflows: int

    @property
    def explained(self) -> bool:
        """Whether every difference is a tie that float32 arithmetic, or a float bias, rounded the other way."""
        near = self.tie_distance is not None and self.tie_distance <= TIE + self.bias_error
        return not self.differing or (self.largest == 1 and near)


@dataclass(frozen=True)
class Validation:
    """layers : at the model's own arithmetic; reference : at the arithmetic that ONNX Runtime computes in."""

    arithmetic: Arithmetic
    layers: tuple[LayerComparison, ...]
    reference: tuple[LayerComparison, ...]

    @property
    def holds(self) -> bool:
        """Whether, at ONNX Runtime's own arithmetic, nothing differs but float32's rounding at ties."""
        return all(layer.explained for layer in self.reference)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "arithmetic": self.arithmetic.as_dict(),
            "layers": [asdict(layer) for layer in self.layers],
            "reference": [asdict(layer) for layer in self.reference],
        }


def validate(
    path: str | PathLike[str],
    inputs: Mapping[str, NDArray[Any]] | None = None,
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    images: int = 16,
    seed: int = 0,
) -> Validation:
    """Compare every layer of a quantized ONNX model with ONNX Runtime, each on the codes that the emulator feeds it.

    inputs : {name: float32 (batch, …) in the file's layout}; None takes `images` inputs of uniformly random codes
    arithmetic, override : as `load_onnx` takes them

    ONNX Runtime computes like 32-bit accumulators and rounds half to even. Where the model's arithmetic is another one,
    differences are legitimate, and `Validation.reference` has the same layers at ONNX Runtime's. Raises ``ValueError``
    for what `load_onnx` or ONNX Runtime cannot read.
    """
    graph = load_onnx(path, arithmetic, override)
    wide = replace(graph.arithmetic, accumulator_bits=32, overflow="saturate", multiplier_bits=24, rounding="half_even")
    slices = OnnxSlices(path)
    given = dict(random_inputs(graph, slices.batch, images, seed) if inputs is None else inputs)
    if slices.batch is not None:
        for name, array in given.items():
            if array.shape[:1] and array.shape[0] % slices.batch:
                raise ValueError(f"input {name!r} must be whole batches of {slices.batch}, not {array.shape[0]} images")
    layers = _compare(graph, slices, given)
    same = wide == graph.arithmetic
    reference = layers if same else _compare(load_onnx(path, wide, override=True), slices, given)
    return Validation(graph.arithmetic, layers, reference)


def random_inputs(graph: Graph, batch: int | None, images: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Dequantized uniform codes of every input, in the file's layout; as many images as make whole batches."""
    generator = np.random.default_rng(seed)
    count = images if batch is None else -(-images // batch) * batch
    result = {}
    for tensor in graph.inputs:
        codes = generator.integers(tensor.y_min, tensor.y_max, (count, *tensor.shape), np.int8, endpoint=True)
        result[tensor.name] = to_logical(dequantize(codes, tensor.scale, tensor.zero_point))
    return result


def _compare(graph: Graph, slices: OnnxSlices, inputs: dict[str, NDArray[Any]]) -> tuple[LayerComparison, ...]:
    held: dict[str, str] = graph.metadata["codes"]
    every, counts = run_graph_counts(graph, inputs)
    every |= {name: to_logical(codes) for name, codes in check_inputs(graph.inputs, inputs).items()}
    ours = {held[name]: _file_order(graph, name, codes) for name, codes in every.items() if name in held}
    floats = {tensor.name: inputs[tensor.name].astype(np.float32) for tensor in graph.inputs}
    types = {name: codes.dtype for name, codes in slices.run(floats, list(ours)).items()}
    # A layer's inputs, as the file's own type holds them: uint8 codes are shifted by 128.
    feeds = {name: codes if types[name] == np.int8 else _unsigned(codes) for name, codes in ours.items()}
    comparisons = []
    for tensor in (*graph.inputs, *graph.nodes):
        if tensor.name not in held:
            continue
        codes = held[tensor.name]
        cut = slices.cut(codes, set(held.values()))
        given = {name: floats[name] if name in floats else feeds[name] for name in cut}
        rounded = slices.rounded_from(codes)
        theirs = slices.run(given, [codes] if rounded is None else [codes, rounded])
        real = None if rounded is None else theirs[rounded].astype(np.float64) / tensor.scale
        overflows = int(counts[tensor.name].overflows.sum()) if tensor.name in counts else 0
        bias_error = graph.metadata["bias_errors"].get(tensor.name, 0.0)
        comparisons.append(_layer(tensor, feeds[codes], theirs[codes], real, bias_error, overflows))
    return tuple(comparisons)


def _layer(
    tensor: Tensor,
    ours: NDArray[Any],
    theirs: NDArray[Any],
    real: NDArray[np.float64] | None,
    bias_error: float,
    overflows: int,
) -> LayerComparison:
    if ours.shape != theirs.shape:
        raise ValueError(f"layer {tensor.name!r} must have ONNX Runtime's shape {theirs.shape}, not {ours.shape}")
    difference = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    differing = difference > 0
    distance = None
    if differing.any() and real is not None:
        distance = float(np.abs(real[differing] - np.floor(real[differing]) - 0.5).max())
    return LayerComparison(
        name=tensor.name,
        operator=type(tensor).__name__ if type(tensor) is not Tensor else "Input",
        compared=int(difference.size),
        differing=int(differing.sum()),
        largest=int(difference.max(initial=0)),
        tie_distance=distance,
        bias_error=bias_error,
        overflows=overflows,
    )


def _unsigned(codes: NDArray[Any]) -> NDArray[np.uint8]:
    return (codes.astype(np.int16) + 128).astype(np.uint8)


def _file_order(graph: Graph, name: str, codes: NDArray[Any]) -> NDArray[Any]:
    """A flattened feature map's codes in the file's order (channel first); anything else as it is."""
    if name not in graph.metadata["orders"]:
        return codes
    return to_logical(codes.reshape(-1, *graph.metadata["orders"][name])).reshape(codes.shape)
