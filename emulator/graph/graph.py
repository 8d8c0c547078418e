"""`Graph`: a quantized network in integers, with what the host computes around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..arithmetic import Arithmetic
from .host_part import HostPart
from .nodes import Node, Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Graph:
    """A quantized network in topological order.

    inputs : the tensors that the host supplies
    nodes : the layers; each reads only inputs and earlier nodes
    outputs : output name → name of the tensor it shows
    head, tail : what the host computes in front of the inputs and behind the outputs, None: nothing. Inputs that the
        head does not make, and outputs that the tail does not read, are the model's own as they are
    """

    inputs: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    outputs: dict[str, str]
    arithmetic: Arithmetic
    metadata: dict[str, Any] = field(default_factory=dict)
    head: HostPart | None = None
    tail: HostPart | None = None

    def tensor(self, name: str) -> Tensor:
        """The input or node of that name; ``KeyError`` if there is none."""
        for tensor in (*self.inputs, *self.nodes):
            if tensor.name == name:
                return tensor
        raise KeyError(name)
