"""The emulator against an interpreter of TFLite files: layer by layer on the interpreter's codes, and end to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Graph, Node, Tensor, from_file_layout
from emulator.graph.inputs import model_outputs
from emulator.graph.run import run_graph_counts
from emulator.operators.quantize import dequantize

from ..inputs import graph_codes
from ..peers.counterparts import Counterparts
from ..peers.process import run_peer
from ..peers.tflite_names import read_names
from .comparison import LayerComparison, OutputComparison, compare_codes, compare_output, operator_name
from .distance import tie_distance
from .hidden import compared_within


@dataclass(eq=False)
class TfliteComparison:
    """One graph and the file that it was read from, on the same inputs.

    arrays : the model's own inputs
    runtime : ``litert`` or ``tflm``
    """

    graph: Graph
    path: str | PathLike[str]
    arrays: Mapping[str, NDArray[Any]]
    runtime: str

    def __post_init__(self) -> None:
        self.counterparts = Counterparts(self.graph)
        self.codes = graph_codes(self.graph, self.arrays)
        inputs = self._file_inputs()
        self._theirs = run_peer(self.runtime, Path(self.path), inputs, every=True)
        self._shown = run_peer(self.runtime, Path(self.path), inputs)
        self._settled: dict[str, NDArray[Any]] = dict(self.codes)

    def _file_inputs(self) -> dict[str, NDArray[Any]]:
        """All inputs of the file, in its own types; one that the outputs do not need is 0."""
        names = read_names(Path(self.path).read_bytes())
        samples = len(next(iter(self.codes.values())))
        found = {}
        for index in names.inputs:
            name, dtype = names.tensors[index], names.types[index]
            if name not in self.codes:
                found[name] = np.zeros((samples, *names.shapes[index][1:]), dtype)
            elif dtype != np.float32:
                found[name] = self.counterparts.to_file(name, self.codes[name], dtype)
            elif self.arrays[name].dtype.kind == "f":
                found[name] = self.arrays[name].astype(np.float32)
            else:
                tensor = self.counterparts.tensors[name]
                found[name] = dequantize(self.codes[name], tensor.scale, tensor.zero_point)
        return found

    def layers(self) -> tuple[LayerComparison, ...]:
        """Every layer, computed from the codes that the interpreter had."""
        held = self.counterparts.held
        within = compared_within(self.graph, held)
        codes, found = self._settled, []
        for node in self.graph.nodes:
            result, overflows = self._alone(node, codes)
            theirs = self._of_layer(node, result)
            if theirs is not None:
                found.append(self._compare(node, result, theirs, codes, overflows))
                codes[node.name] = theirs
            else:
                holder = within.get(node.name)
                found.append(LayerComparison(node.name, operator_name(node), None, holder, overflows=overflows))
                codes[node.name] = result
        return tuple(found)

    def _of_layer(self, node: Node, ours: NDArray[Any]) -> NDArray[Any] | None:
        """The interpreter's codes of a layer in the shape of ours; None where it shows none."""
        held = self.counterparts.held.get(node.name)
        if held not in self._theirs:
            return None
        theirs = self.counterparts.layers({held: self._theirs[held]}).get(node.name)
        return None if theirs is None else self._alike(f"layer {node.name!r}", theirs, ours.shape)

    def _alike(self, what: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """An array in another shape of as many numbers: the file may have axes of 1 that the graph has not."""
        if array.size != np.prod(shape, dtype=int):
            raise ValueError(f"{what} must have as many numbers as in {self.runtime}: {shape} against {array.shape}")
        return array.reshape(shape)

    def _alone(self, node: Node, codes: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], int]:
        """The emulator's codes of one layer, and the sums that overflowed."""
        low, high = self.graph.arithmetic.activation_range
        sources = []
        for name in dict.fromkeys(node.inputs):
            source = self.counterparts.tensors[name]
            shared = {"scale": source.scale, "zero_point": source.zero_point, "channels_last": source.channels_last}
            sources.append(Tensor(name=name, shape=source.shape, y_min=low, y_max=high, **shared))
        graph = replace(
            self.graph,
            inputs=tuple(sources),
            nodes=(node,),
            outputs={node.name: node.name},
            head=None,
            tail=None,
        )
        layers, counts = run_graph_counts(graph, {source.name: codes[source.name] for source in sources})
        return layers[node.name], int(counts[node.name].overflows.sum())

    def _compare(
        self,
        node: Node,
        ours: NDArray[Any],
        theirs: NDArray[Any],
        codes: Mapping[str, NDArray[Any]],
        overflows: int,
    ) -> LayerComparison:
        differing, fields = compare_codes(node, ours, theirs, None, self.runtime)
        if differing.any():
            stored = {
                name: from_file_layout(self.counterparts.tensors[name], array)
                for name, array in codes.items()
                if name in node.inputs
            }
            places = [
                (sample, tuple(index)) for sample, *index in np.argwhere(from_file_layout(node, differing)).tolist()
            ]
            made = from_file_layout(node, theirs)
            fields["tie_distance"] = tie_distance(self.graph, (node.name,), stored, made, places)
        held = self.counterparts.held[node.name]
        floats = self.runtime != "tflm"
        return LayerComparison(node.name, operator_name(node), held, **fields, overflows=overflows, floats=floats)

    def outputs(self) -> tuple[OutputComparison, ...]:
        """Every output of the model, from its own inputs to its own outputs."""
        layers, _ = run_graph_counts(replace(self.graph, head=None, tail=None), self.codes)
        return self._compared({**self.codes, **layers})

    def host_outputs(self) -> tuple[OutputComparison, ...]:
        """The same, from the interpreter's own codes on: what the host part alone makes of them."""
        if len(self._settled) == len(self.codes):
            self.layers()
        return self._compared(self._settled)

    def _compared(self, codes: Mapping[str, NDArray[Any]]) -> tuple[OutputComparison, ...]:
        shown = {output: codes[name] for output, name in self.graph.outputs.items()}
        ours = model_outputs(self.graph, shown, self.arrays)
        return tuple(
            compare_output(name, self._as_shown(name, ours[name], theirs), theirs, self.runtime)
            for name, theirs in self._shown.items()
            if name in ours
        )

    def _as_shown(self, name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        ours = self._alike(f"output {name!r}", ours, theirs.shape)
        return (ours.view(np.uint8) ^ np.uint8(0x80)) if theirs.dtype == np.uint8 != ours.dtype else ours
