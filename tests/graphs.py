"""Random small integer graphs and accelerator configs, from explicit seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emulator import (
    AcceleratorConfig,
    Arithmetic,
    AveragePool,
    Convolution,
    Graph,
    Linear,
    MaxPool,
    Node,
    Reshape,
    Tensor,
    raw_average_multipliers,
)
from emulator.operators.average_pool import average_pool_scales
from emulator.operators.requantization.multiplier import layer_scales, quantize_multiplier
from tests.random_layers import like, quantized, random_add, random_elementwise, random_table


def out_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Output positions of a window along one axis."""
    return (size + before + after - (kernel - 1) * dilation - 1) // stride + 1


def random_arithmetic(rng: np.random.Generator) -> Arithmetic:
    """Any rounding and overflow mode, and widths over their whole range."""
    bits = int(rng.choice([8, 10, 12, 16, 20, 24, 32, 40, 48]))
    return Arithmetic(
        activation_bits=int(rng.choice([2, 4, 5, 8, 8, 8])),
        weight_bits=int(rng.choice([2, 3, 4, 8, 8, 8])),
        accumulator_bits=bits,
        overflow=str(rng.choice(["saturate", "wrap"])),
        multiplier_bits=int(rng.integers(4, min(31, 63 - max(bits, 24)) + 1)),
        rounding=str(rng.choice(["half_even", "half_up", "half_away", "floor", "toward_zero"])),
    )


def _weighted(rng, arithmetic, source: Tensor, shape: tuple[int, ...], depth: int, output: dict) -> dict:
    low, high = arithmetic.weight_range
    weight_scale = (
        np.float32(rng.uniform(0.5, 2)) / np.float32(np.sqrt(depth) * max(high, 1)) * np.ones(shape[0], np.float32)
    )
    multiplier, shift = quantize_multiplier(layer_scales(source.scale, weight_scale, output["scale"]), arithmetic)
    least, most = arithmetic.bias_range
    return {
        "weight": rng.integers(low, high + 1, shape, dtype=np.int8),
        "bias": rng.integers(max(least, -500), min(most, 500) + 1, shape[0]),
        "multiplier": multiplier,
        "shift": shift,
    }


def random_convolution(rng: np.random.Generator, source: Tensor, name: str, arithmetic: Arithmetic) -> Convolution:
    """A convolution of random kernel, stride, padding, dilation and groups that fits its input."""
    height, width, depth = source.shape
    groups = int(rng.choice([g for g in (1, 1, 1, 2, depth) if depth % g == 0]))
    kernel = tuple(int(rng.integers(1, 4)) for _ in range(2))
    padding = tuple(int(rng.integers(0, 3)) for _ in range(4))
    dilations = tuple(int(rng.integers(1, 3)) for _ in range(2))
    strides = tuple(int(rng.integers(1, 3)) for _ in range(2))
    sizes = [
        out_size(size, kernel[axis], strides[axis], dilations[axis], padding[axis], padding[axis + 2])
        for axis, size in enumerate((height, width))
    ]
    if min(sizes) < 1:
        return random_convolution(rng, source, name, arithmetic)
    channels = groups * int(rng.integers(1, max(2, 13 // groups)))
    output = quantized(rng, arithmetic)
    shape = (channels, *kernel, depth // groups)
    return Convolution(
        name=name,
        shape=(*sizes, channels),
        inputs=(source.name,),
        **output,
        **_weighted(rng, arithmetic, source, shape, int(np.prod(shape[1:])), output),
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
    )


def random_pool(rng: np.random.Generator, source: Tensor, name: str, arithmetic: Arithmetic) -> MaxPool | AveragePool:
    """A pool of random window, whose padding is narrower than its kernel."""
    height, width, depth = source.shape
    kernel = tuple(int(rng.integers(1, min(4, size + 1))) for size in (height, width))
    strides = tuple(int(rng.integers(1, 3)) for _ in range(2))
    padding = tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4))
    sizes = tuple(
        out_size(size, kernel[axis], strides[axis], 1, padding[axis], padding[axis + 2])
        for axis, size in enumerate((height, width))
    )
    shared = {
        "name": name,
        "shape": (*sizes, depth),
        "inputs": (source.name,),
        "kernel": kernel,
        "strides": strides,
        "padding": padding,
    }
    if rng.random() < 0.5:
        low, high = source.y_min, source.y_max
        return MaxPool(**shared, scale=source.scale, zero_point=source.zero_point, y_min=low, y_max=high)
    if arithmetic.rounding == "double" and rng.random() < 0.6:
        multiplier, shift = raw_average_multipliers((height, width), kernel, strides, padding, arithmetic=arithmetic)
        return AveragePool(**shared, **like(source), multiplier=multiplier, shift=shift, raw=True)
    output = quantized(rng, arithmetic)
    scales = average_pool_scales(
        source.scale, output["scale"], (height, width), kernel, strides, padding, count_padding=bool(rng.random() < 0.5)
    )
    multiplier, shift = quantize_multiplier(scales, arithmetic)
    return AveragePool(**shared, **output, multiplier=multiplier, shift=shift)


def random_residual(rng: np.random.Generator, source: Tensor, name: str, arithmetic: Arithmetic) -> list[Node]:
    """A 3×3 convolution and the sum of its output and its input; maybe a table behind it."""
    depth = source.shape[2]
    output = quantized(rng, arithmetic)
    convolution = Convolution(
        name=name + "_main", shape=source.shape, inputs=(source.name,), **output,
        **_weighted(rng, arithmetic, source, (depth, 3, 3, depth), 9 * depth, output), padding=(1, 1, 1, 1),
    )  # fmt: skip
    sides = (convolution, source) if rng.random() < 0.5 else (source, convolution)
    made: list[Node] = [convolution, random_add(rng, *sides, name, arithmetic)]
    if rng.random() < 0.4:
        made.append(random_table(rng, made[-1], name + "_table", arithmetic))
    return made


def random_layers(rng: np.random.Generator, tensors: list[Tensor], name: str, arithmetic: Arithmetic) -> list[Node]:
    """The next layers of a graph: of any operator."""
    kind = rng.random()
    if kind < 0.3:
        return [random_convolution(rng, tensors[-1], name, arithmetic)]
    if kind < 0.5:
        return [random_pool(rng, tensors[-1], name, arithmetic)]
    if kind < 0.65:
        return random_residual(rng, tensors[-1], name, arithmetic)
    return random_elementwise(rng, tensors, name, arithmetic)


def random_graph(rng: np.random.Generator, arithmetic: Arithmetic, size: int = 9, layers: int = 5) -> Graph:
    """An input map, layers of all operators, a Flatten and a linear layer, maybe with a table."""
    low, high = arithmetic.activation_range
    shape = (int(rng.integers(2, size)), int(rng.integers(2, size)), int(rng.integers(1, 7)))
    zero = int(rng.choice([0, low]))
    source = Tensor(name="input", shape=shape, scale=0.05, zero_point=zero, y_min=low, y_max=high)
    tensors: list[Tensor] = [source]
    for index in range(layers):
        tensors += random_layers(rng, tensors, f"layer{index}", arithmetic)
        if int(np.prod(tensors[-1].shape)) > 3 * size**3:
            break
    last = tensors[-1]
    length = int(np.prod(last.shape))
    flat = Reshape(
        name="flat",
        shape=(length,),
        inputs=(last.name,),
        scale=last.scale,
        zero_point=last.zero_point,
        y_min=last.y_min,
        y_max=last.y_max,
    )
    output = quantized(rng, arithmetic)
    columns = int(rng.integers(1, 12))
    weighted = _weighted(rng, arithmetic, flat, (columns, length), length, output)
    weighted["weight"] = np.ascontiguousarray(weighted["weight"].T)
    linear = Linear(name="linear", shape=(columns,), inputs=("flat",), **output, **weighted)
    nodes = [*tensors[1:], flat, linear]
    assert all(isinstance(node, Node) for node in nodes)
    return Graph(inputs=(source,), nodes=tuple(nodes), outputs={"output": "linear"}, arithmetic=arithmetic)


def version_2_arithmetic(rng: np.random.Generator) -> Arithmetic:
    """Mostly `double`, with multipliers that make raw averages; both adders."""
    rounding = str(rng.choice(["double", "double", "double", "half_even", "half_up", "half_away", "toward_zero"]))
    arithmetic = replace(random_arithmetic(rng), rounding=rounding, adder=str(rng.choice(["rescaled", "shared_shift"])))
    return replace(arithmetic, multiplier_bits=max(arithmetic.multiplier_bits, 15))


def with_version_2(rng: np.random.Generator, graph: Graph) -> Graph:
    """The graph with weights that have zero points, most of them, and maybe its last layer's sums as its output."""
    low, high = graph.arithmetic.weight_range
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, Convolution | Linear):
            if rng.random() < 0.8:
                zero_point = rng.choice([low, high, 0, int(rng.integers(low, high + 1))], len(node.bias))
                node = replace(node, weight_zero_point=zero_point)
            shown = node.name in graph.outputs.values()
            node = replace(node, raw=bool(shown and rng.random() < 0.5))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


ALL_TAPS = (0, 1, 3, 9)
"""Of a lane's depthwise steps a cycle."""


def random_config(
    rng: np.random.Generator, arithmetic: Arithmetic, rows: int, columns: int, taps: Sequence[int] = (0,)
) -> AcceleratorConfig:
    """A config of this array, of either dataflow, whose memories are small enough to force tiling."""
    entry = columns * arithmetic.accumulator_bits
    made = AcceleratorConfig(
        rows=rows,
        columns=columns,
        dataflow=str(rng.choice(["weight_stationary", "output_stationary"])),
        activation_scratchpad_bytes=rows * int(rng.integers(20, 120)),
        weight_scratchpad_bytes=columns * rows * int(rng.integers(2, 20)) + columns * 2,
        operand_scratchpad_bytes=columns * int(rng.integers(30, 80)),
        output_scratchpad_bytes=columns * int(rng.integers(16, 80)),
        accumulator_bytes=entry * int(rng.integers(3, 10)),
        bus_bytes=int(rng.choice([8, 16, 32])),
        counters=bool(rng.random() < 0.8),
        packed_multipliers=bool(rng.random() < 0.3),
        arithmetic=arithmetic,
    )
    return replace(made, depthwise_taps=int(rng.choice(taps))) if len(taps) > 1 else made
