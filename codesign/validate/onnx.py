"""The emulator against ONNX Runtime: layer by layer on equal inputs, and the whole model from end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor, from_file_layout
from emulator.graph.inputs import model_outputs
from emulator.graph.run import LayerCounts, run_graph_counts
from emulator.operators.quantize import dequantize

from ..inputs import graph_codes
from ..peers.counterparts import Counterparts
from ..peers.onnx_slices import Arrays, OnnxSlices
from .comparison import LayerComparison, OutputComparison, compare_codes, compare_output, operator_name
from .distance import tie_distance
from .hidden import compared_within, inside
from .rows import has_rows, row_error
from .saturation import may_saturate, saturates_pairs

RUNTIME = "ONNX Runtime"


def runtime_arithmetic(arithmetic: Arithmetic) -> Arithmetic:
    """What ONNX Runtime computes like, with an arithmetic's widths of activations and weights."""
    return replace(
        arithmetic,
        accumulator_bits=32,
        overflow="saturate",
        multiplier_bits=24,
        rounding="half_even",
        adder="shared_shift",
    )


@dataclass(eq=False)
class OnnxComparison:
    """One graph and the file that it was read from, on the same inputs.

    arrays : the model's own inputs
    """

    graph: Graph
    slices: OnnxSlices
    arrays: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        self.counterparts = Counterparts(self.graph)
        self.core = replace(self.graph, head=None, tail=None)
        self.codes: Arrays = dict(graph_codes(self.graph, self.arrays))
        layers, self.counts = run_graph_counts(self.core, self.codes)
        self.codes |= layers
        self.feeds = self.slices.typed(self.arrays)
        held = self.counterparts.held
        whole = self.slices.run(self.feeds, sorted(set(held.values()) - set(self.feeds)))
        types = {name: array.dtype for name, array in (whole | self.feeds).items()}
        self._file_codes = {
            held[name]: self.counterparts.to_file(name, codes, types[held[name]])
            for name, codes in self.codes.items()
            if name in held
        }
        self._within = compared_within(self.graph, held)
        shown = {output: self.codes[name] for output, name in self.graph.outputs.items()}
        self._outputs = model_outputs(self.graph, shown, self.arrays)

    def layers(self, optimized: bool = False) -> tuple[LayerComparison, ...]:
        """Every layer on the emulator's own codes; `optimized`: as a session with default options computes it."""
        return tuple(self._layer(tensor.name, optimized) for tensor in (*self.graph.inputs, *self.graph.nodes))

    def _layer(self, name: str, optimized: bool) -> LayerComparison:
        tensor, counts = self.counterparts.tensors[name], self.counts.get(name)
        operator, overflows = operator_name(tensor), overflowed(counts)
        if name not in self.counterparts.held:
            return LayerComparison(name, operator, None, self._within.get(name), overflows=overflows)
        held = self.counterparts.held[name]
        if held in self.feeds:  # an input of codes: nothing makes it
            return LayerComparison(name, operator, held, compared=self.codes[name].size)
        cut = self.slices.cut(held, set(self._file_codes))
        given = {part: self.feeds[part] if part in self.feeds else self._file_codes[part] for part in cut}
        theirs = self._run(given, [held], optimized)[held]
        ours = self._file_codes[held]
        rounded = self.slices.rounded_from(held) if ours.shape == theirs.shape and (ours != theirs).any() else None
        # Also of an optimized session, whose kernels do not show it, this is about what it rounds.
        real = None if rounded is None else self.slices.run(given, [rounded])[rounded].astype(np.float64)
        steps = None if real is None else real / self._steps(tensor)
        differing, fields = compare_codes(tensor, ours, theirs, steps, RUNTIME)
        parts = (name, *inside(self._within).get(name, ()))
        if steps is None and differing.any():
            fields["tie_distance"] = self._distance(parts, theirs, differing)
        return LayerComparison(
            name,
            operator,
            held,
            **fields,
            bias_error=sum(self.graph.metadata["bias_errors"].get(part, 0.0) for part in parts),
            second_rounding=self.graph.metadata["second_roundings"].get(name, {}).get("error", 0.0),
            row_error=row_error(map(self.graph.tensor, parts), self.graph.arithmetic),
            fused=bool(optimized and differing.any() and has_rows(map(self.graph.tensor, parts))),
            overflows=overflows,
            saturating=bool(
                optimized and differing.any() and saturates_pairs() and self._saturating(parts, theirs, differing)
            ),
        )

    def _run(self, given: Arrays, wanted: list[str], optimized: bool) -> Arrays:
        try:
            return self.slices.run(given, wanted, optimized)
        except ValueError:
            if not optimized:
                raise
            # Its fused kernels refuse what its others take, such as a zero point that is a vector of one element.
            return self.slices.run(given, wanted)

    def _steps(self, tensor: Tensor) -> NDArray[np.float64]:
        """The scale, or those of the channels, as the file's arrays have them."""
        scales = np.array(self.graph.metadata["channel_scales"].get(tensor.name, [tensor.scale]), np.float64)
        return scales.reshape(-1, *(1 for _ in tensor.shape[1:])) if scales.size > 1 else scales

    def _in_store(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Codes of the file's tensor, or marks of them, in the axes that the layer's are stored in."""
        return from_file_layout(self.counterparts.tensors[name], self.counterparts.from_file(name, array))

    def _places(self, name: str, differing: NDArray[np.bool_]) -> list[tuple[int, tuple[int, ...]]]:
        return [(sample, tuple(index)) for sample, *index in np.argwhere(self._in_store(name, differing)).tolist()]

    def _stored(self) -> Arrays:
        return {name: from_file_layout(self.counterparts.tensors[name], codes) for name, codes in self.codes.items()}

    def _distance(self, parts: tuple[str, ...], theirs: NDArray[Any], differing: NDArray[np.bool_]) -> float | None:
        name = parts[0]
        if name not in self.counts:
            return None
        places = self._places(name, differing)
        return tie_distance(self.core, parts, self._stored(), self._in_store(name, theirs), places)

    def _saturating(self, parts: tuple[str, ...], theirs: NDArray[Any], differing: NDArray[np.bool_]) -> bool:
        name = parts[0]
        if len(parts) > 1:
            return False
        places = self._places(name, differing)
        return may_saturate(self.core, name, self._stored(), self._in_store(name, theirs), places)

    def outputs(self, optimized: bool = True) -> tuple[OutputComparison, ...]:
        """Every output of the model, from its own inputs on, in a default session or one without optimization."""
        return self._compared(self._run(self.feeds, self._wanted(), optimized))

    def host_outputs(self) -> tuple[OutputComparison, ...]:
        """The same, from the emulator's last codes on: what the operators behind them make of equal codes."""
        theirs = {}
        for name in self._wanted():
            cut = self.slices.cut(name, set(self._file_codes)) if name not in self._file_codes else []
            given = {part: self.feeds[part] if part in self.feeds else self._file_codes[part] for part in cut}
            theirs |= self.slices.run(given, [name]) if given else {name: self._file_codes[name]}
        return self._compared(theirs)

    def _wanted(self) -> list[str]:
        return [name for name in self._outputs if name in self.slices.made]

    def _compared(self, theirs: Arrays) -> tuple[OutputComparison, ...]:
        return tuple(
            compare_output(name, self._as_theirs(name, self._outputs[name], array), array, RUNTIME)
            for name, array in theirs.items()
        )

    def _as_theirs(self, name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        """Codes that the graph shows, where the file shows the codes or the real numbers that they stand for."""
        tail = self.graph.tail
        if tail is not None and name in tail.outputs:
            return ours
        tensor = self.graph.tensor(self.graph.outputs[name])
        if theirs.dtype.kind == "f":
            codes = self.counterparts.to_file(tensor.name, ours, np.int8)
            return dequantize(codes, tensor.scale, tensor.zero_point).astype(theirs.dtype)
        return self.counterparts.to_file(tensor.name, ours, theirs.dtype)


def overflowed(counts: LayerCounts | None) -> int:
    """Sums of a layer that left the accumulator's range."""
    return 0 if counts is None else int(counts.overflows.sum())
