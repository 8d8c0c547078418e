"""`compile_graph`: the integer `Graph` becomes a `Program` for one `AcceleratorConfig`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.graph import AveragePool, Convolution, Graph, Linear, MaxPool, Node, Reshape, to_logical
from emulator.program import Program
from emulator.run import run_graph

from .emit_convolution import as_convolution, check_bias, emit_convolution
from .emit_pool import emit_pool
from .emitter import CompileError, Emitter


def compile_graph(graph: Graph, config: AcceleratorConfig) -> Program:
    """Compile a graph for one accelerator; the program runs one sample.

    Every layer's codes have a place of their own in the memory map, so that all of them can be compared after a run.

    Raises `CompileError` (a ``ValueError``) naming the layer and the reason for what the accelerator cannot run and for
    a graph that `run_graph` refuses, ``ValueError`` if graph and config differ in their arithmetic, and ``TypeError``
    for anything but a `Graph` and an `AcceleratorConfig`.
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, as load_onnx gives it, not {type(graph).__name__}")
    if not isinstance(config, AcceleratorConfig):
        raise TypeError(f"config must be an AcceleratorConfig, not {type(config).__name__}")
    if graph.arithmetic != config.arithmetic:
        ours, theirs = config.arithmetic.as_dict(), graph.arithmetic.as_dict()
        name = next(name for name in ours if ours[name] != theirs[name])
        raise ValueError(f"{name} must be the graph's {theirs[name]!r} in the config, not {ours[name]!r}")
    _check(graph)
    emitter = Emitter(graph, config)
    for tensor in graph.inputs:
        emitter.place(tensor)
    macs = 0
    for node in graph.nodes:
        emitter.layer = node.name
        emitter.forget()
        macs += _emit(emitter, node)
    return emitter.finish(macs)


def _check(graph: Graph) -> None:
    """Raise `CompileError` for what `run_graph` refuses: its operators check every shape and every range."""
    for node in graph.nodes:
        if isinstance(node, Convolution | Linear):
            check_bias(node, *graph.arithmetic.bias_range)
    try:
        run_graph(graph, {tensor.name: to_logical(np.empty((0, *tensor.shape), np.int8)) for tensor in graph.inputs})
    except (TypeError, ValueError) as error:
        raise CompileError(str(error)) from None


def _emit(emitter: Emitter, node: Node) -> int:
    """Emit one layer; returns its multiplications."""
    source = emitter.graph.tensor(node.inputs[0])
    if isinstance(node, Reshape):
        emitter.place(node, same_as=source.name)
        return 0
    emitter.place(node)
    if isinstance(node, Convolution | Linear):
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
