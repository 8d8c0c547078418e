"""`compile_graph`: the integer `Graph` becomes a `Program` for one `AcceleratorConfig`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.graph import AveragePool, Convolution, Graph, Linear, MaxPool, Node, Reshape
from emulator.program import Program

from .emit_convolution import as_convolution, check_bias, emit_convolution
from .emit_pool import emit_pool
from .emitter import CompileError, Emitter


def compile_graph(graph: Graph, config: AcceleratorConfig) -> Program:
    """Compile a graph for one accelerator; the program runs one sample.

    Every layer's codes have a place of their own in the memory map, so that all of them can be compared after a run.

    Raises `CompileError` (a ``ValueError``) naming the layer and the reason for what the accelerator cannot run, and
    ``ValueError`` if graph and config differ in their arithmetic.
    """
    if graph.arithmetic != config.arithmetic:
        ours, theirs = config.arithmetic.as_dict(), graph.arithmetic.as_dict()
        name = next(name for name in ours if ours[name] != theirs[name])
        raise ValueError(f"{name} must be the graph's {theirs[name]!r} in the config, not {ours[name]!r}")
    emitter = Emitter(graph, config)
    for tensor in graph.inputs:
        emitter.place(tensor)
    macs = 0
    for node in graph.nodes:
        emitter.layer = node.name
        emitter.forget()
        macs += _emit(emitter, node)
    return emitter.finish(macs)


def _emit(emitter: Emitter, node: Node) -> int:
    """Emit one layer; returns its multiplications."""
    graph, source = emitter.graph, emitter.graph.tensor(node.inputs[0])
    if isinstance(node, Reshape):
        emitter.place(node, same_as=source.name)
        return 0
    emitter.place(node)
    if isinstance(node, Convolution | Linear):
        check_bias(node, *graph.arithmetic.bias_range)
        size = int(np.prod(source.shape))
        if isinstance(node, Linear):
            emit_convolution(emitter, as_convolution(node), replace(source, shape=(1, 1, size)))
            return node.weight.size
        emit_convolution(emitter, node, source)
        return node.weight.size * node.shape[0] * node.shape[1]
    if isinstance(node, AveragePool | MaxPool):
        emit_pool(emitter, node, source)
        return 0
    raise CompileError(
        f"layer {node.name!r} ({type(node).__name__}): the accelerator has no instruction for this operator; "
        "the emulator's run_graph runs it"
    )
