"""Random small integer graphs and accelerator configs, from explicit seeds."""

from __future__ import annotations

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
)
from emulator.average_pool import average_pool_scales
from emulator.multiplier import layer_scales, quantize_multiplier


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


def _quantized(rng: np.random.Generator, arithmetic: Arithmetic) -> dict[str, float | int]:
    low, high = arithmetic.activation_range
    zero = int(rng.choice([0, low, int(rng.integers(low, high + 1))]))
    y_min = int(rng.choice([low, zero]))
    return {"scale": float(np.float32(rng.uniform(0.01, 0.1))), "zero_point": zero, "y_min": y_min, "y_max": high}


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
    output = _quantized(rng, arithmetic)
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
    output = _quantized(rng, arithmetic)
    scales = average_pool_scales(
        source.scale, output["scale"], (height, width), kernel, strides, padding, count_padding=bool(rng.random() < 0.5)
    )
    multiplier, shift = quantize_multiplier(scales, arithmetic)
    return AveragePool(**shared, **output, multiplier=multiplier, shift=shift)


def random_graph(rng: np.random.Generator, arithmetic: Arithmetic, size: int = 9, layers: int = 3) -> Graph:
    """An input map, some convolutions and pools, a Flatten and a linear layer."""
    low, high = arithmetic.activation_range
    shape = (int(rng.integers(2, size)), int(rng.integers(2, size)), int(rng.integers(1, 7)))
    zero = int(rng.choice([0, low]))
    source = Tensor(name="input", shape=shape, scale=0.05, zero_point=zero, y_min=low, y_max=high)
    tensors: list[Tensor] = [source]
    for index in range(layers):
        make = random_pool if rng.random() < 0.4 else random_convolution
        tensors.append(make(rng, tensors[-1], f"layer{index}", arithmetic))
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
    output = _quantized(rng, arithmetic)
    columns = int(rng.integers(1, 12))
    weighted = _weighted(rng, arithmetic, flat, (columns, length), length, output)
    weighted["weight"] = np.ascontiguousarray(weighted["weight"].T)
    linear = Linear(name="linear", shape=(columns,), inputs=("flat",), **output, **weighted)
    nodes = [*tensors[1:], flat, linear]
    assert all(isinstance(node, Node) for node in nodes)
    return Graph(inputs=(source,), nodes=tuple(nodes), outputs={"output": "linear"}, arithmetic=arithmetic)


def random_config(rng: np.random.Generator, arithmetic: Arithmetic, rows: int, columns: int) -> AcceleratorConfig:
    """A config of this array whose memories are small enough to force tiling."""
    entry = columns * arithmetic.accumulator_bits
    return AcceleratorConfig(
        rows=rows,
        columns=columns,
        activation_scratchpad_bytes=rows * int(rng.integers(20, 120)),
        weight_scratchpad_bytes=columns * rows * int(rng.integers(2, 20)) + columns * 2,
        output_scratchpad_bytes=columns * int(rng.integers(60, 120)),
        accumulator_bytes=entry * int(rng.integers(3, 10)),
        bus_bytes=int(rng.choice([8, 16, 32])),
        arithmetic=arithmetic,
    )
