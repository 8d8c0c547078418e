"""Layers that the host computes in front of an accelerator's graph or behind it, with the same integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from .graph import Graph
from .host_part import ArrayType, HostPart
from .inputs import input_names, model_outputs
from .run import run_graph

Arrays = Mapping[str, NDArray[Any]]


class HostLayersAhead(HostPart):
    """A head that ends with layers, and gives their int8 codes in the model's layout.

    layers : with the model's own inputs and head; its outputs, named as their tensors, are the inputs of what follows
    """

    def __init__(self, layers: Graph) -> None:
        self.layers = layers
        self.inputs = input_names(layers)
        self.outputs = tuple(layers.outputs)

    @property
    def types(self) -> Mapping[str, ArrayType]:
        """Those of the model's own head."""
        return {} if self.layers.head is None else self.layers.head.types

    def run(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """{name: codes}, as `run_graph` computes them; raises what it raises."""
        return run_graph(self.layers, {name: arrays[name] for name in self.inputs})


class HostLayersBehind(HostPart):
    """A tail that begins with layers, of the int8 codes in front of them; the model's own tail follows.

    whole : the model's own outputs and tail
    layers : reads the codes `given` {tensor: output of the accelerator's graph}; its outputs are some of `whole`
    shown : all outputs of the accelerator's graph
    """

    def __init__(self, whole: Graph, layers: Graph, given: Mapping[str, str], shown: tuple[str, ...]) -> None:
        self.whole, self.layers, self.given = whole, layers, dict(given)
        tail = whole.tail
        own = () if tail is None else tuple(name for name in tail.inputs if name not in whole.outputs)
        self.inputs = (*shown, *own)
        kept = [name for name in whole.outputs if tail is None or name not in tail.inputs]
        self.outputs = tuple(dict.fromkeys([*kept, *(() if tail is None else tail.outputs)]))

    def run(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """{name: array} of the model's outputs, as `run_graph` computes them; raises what it raises."""
        made = run_graph(self.layers, {tensor: arrays[output] for tensor, output in self.given.items()})
        outputs = {name: made[name] if name in made else arrays[name] for name in self.whole.outputs}
        return model_outputs(self.whole, outputs, arrays)
