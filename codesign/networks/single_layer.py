"""Single layers as graphs: a layer of a network alone, a matrix product; and counting multiplications."""

from __future__ import annotations

import math
from dataclasses import replace

from emulator.arithmetic import Arithmetic
from emulator.graph import Convolution, Graph, Tensor
from emulator.graph.macs import node_macs

from .builder import NetworkBuilder


def macs(graph: Graph) -> int:
    """Multiplications of one sample, from the shapes: convolutions and linear layers, padding included."""
    return sum(node_macs(node) for node in graph.nodes)


def distinct_convolutions(graph: Graph) -> list[Convolution]:
    """The graph's convolutions, one for each combination of shapes, strides, padding and groups; the first of each."""
    found: dict[tuple[object, ...], Convolution] = {}
    for node in graph.nodes:
        if isinstance(node, Convolution):
            key = (
                graph.tensor(node.inputs[0]).shape, node.shape, node.weight.shape, node.strides, node.padding,
                node.dilations, node.groups,
            )  # fmt: skip
            found.setdefault(key, node)
    return list(found.values())


def layer_alone(graph: Graph, name: str) -> Graph:
    """The layer `name` of a graph as a graph of its own; its inputs become graph inputs."""
    node = next(node for node in graph.nodes if node.name == name)
    inputs = []
    for source in dict.fromkeys(node.inputs):
        t = graph.tensor(source)
        inputs.append(
            Tensor(name=source, shape=t.shape, scale=t.scale, zero_point=t.zero_point, y_min=t.y_min, y_max=t.y_max)
        )
    return replace(graph, inputs=tuple(inputs), nodes=(node,), outputs={"output": name})


def gemm(m: int, k: int, n: int, arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """(M, K) · (K, N) as a 1×1 convolution: M pixels of K channels, in a map as near to a square as M allows."""
    height = next(height for height in range(math.isqrt(m), 0, -1) if m % height == 0)
    net = NetworkBuilder(arithmetic, seed, images)
    x = net.input((height, m // height, k))
    return net.finish(net.convolution(x, n, (1, 1), "gemm", activation=None))
