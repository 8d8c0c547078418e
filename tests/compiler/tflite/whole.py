"""Small networks of many operators, for damage and for the machine."""

from __future__ import annotations

import numpy as np

from codesign.peers.tflite_mutants import Parts
from tests.compiler.tflite.net import Net

PROBABILITY = 1 / 256, -128


def classifier() -> Net:
    """Convolution, matrix product, softmax."""
    net = Net(0)
    x = net.input((1, 4, 5, 3))
    w, scale = net.weights((4, 3, 3, 3), 0)
    y = net.add("CONV_2D", [x, w, net.bias(4, x, scale)], (1, 4, 5, 4), StrideH=1, StrideW=1, FusedActivationFunction=1)
    w, scale = net.weights((6, 80), None)
    y = net.add("FULLY_CONNECTED", [y, w, net.bias(6, y, scale)], (1, 6))
    net.add("SOFTMAX", [y], (1, 6), PROBABILITY, Beta=1.0)
    return net


def mixture() -> Net:
    """Depthwise convolution, sums, products, pools, moves and functions."""
    net = Net(1)
    x = net.input((1, 6, 6, 4))
    w, scale = net.weights((1, 3, 3, 8), 3)
    y = net.add(
        "DEPTHWISE_CONV_2D",
        [x, w, net.bias(8, x, scale)],
        (1, 3, 3, 8),
        StrideH=2,
        StrideW=2,
        DepthMultiplier=2,
        FusedActivationFunction=3,
        DilationHFactor=1,
        DilationWFactor=1,
    )
    z = net.add("HARD_SWISH", [y], (1, 3, 3, 8))
    y = net.add("ADD", [y, z], (1, 3, 3, 8), FusedActivationFunction=1)
    y = net.add("MUL", [y, net.constant(np.arange(8, dtype=np.int8), 0.1)], (1, 3, 3, 8))
    pads = net.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    y = net.add("PAD", [y, pads], (1, 5, 5, 8), y)
    window = {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    y = net.add("MAX_POOL_2D", [y], (1, 2, 2, 8), y, Padding=1, **window)
    y = net.add("RESIZE_NEAREST_NEIGHBOR", [y, net.integers(4, 6)], (1, 4, 6, 8), y)
    y = net.add("CONCATENATION", [y, y], (1, 4, 6, 16), y, Axis=3)
    cut = (net.integers(0, 0, 1, 0), net.integers(1, 4, 6, 8), net.integers(1, 1, 2, 1))
    y = net.add("STRIDED_SLICE", [y, *cut], (1, 4, 3, 8), y)
    y = net.add("TRANSPOSE", [y, net.integers(0, 2, 1, 3)], (1, 3, 4, 8), y)
    window = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 3}
    y = net.add("AVERAGE_POOL_2D", [y], (1, 3, 4, 8), y, Padding=0, **window)
    y = net.add("MEAN", [y, net.integers(1, 2)], (1, 8))
    y = net.add("RESHAPE", [y, net.integers(1, 2, 4)], (1, 2, 4), y)
    y = net.add("LOGISTIC", [y], (1, 2, 4), PROBABILITY)
    net.add("DEQUANTIZE", [y], (1, 2, 4), type="float32")
    return net


def upscaler() -> Net:
    """A transposed convolution, extremes of two and of one code, a slice that goes backwards, and ARG_MAX."""
    net = Net(2)
    x = net.input((1, 4, 3, 3))
    w, scale = net.weights((5, 3, 3, 3), 0)
    shape = (1, 8, 6, 5)
    y = net.add("TRANSPOSE_CONV", [net.integers(*shape), w, x, net.bias(5, x, scale)], shape, StrideH=2, StrideW=2)
    y = net.add("SUB", [y, y], shape)
    back = net.add("STRIDED_SLICE", [y, *_backwards(net)], shape, y, BeginMask=15, EndMask=15)
    y = net.add("MINIMUM", [y, back], shape, y)
    tensor = net[y]
    code = net.constant(np.full((1,), -100, np.int8), tensor.scale, tensor.zero_point)
    y = net.add("MAXIMUM", [code, y], shape, y)
    net.add("ARG_MAX", [y, net.integers(3)], (1, 8, 6), type="int32", OutputType=2)
    return net


def _backwards(net: Net) -> list[str]:
    """Begin, end and strides of a map with its rows from the last to the first."""
    return [net.integers(0, 0, 0, 0), net.integers(0, 0, 0, 0), net.integers(1, -1, 1, 1)]


def parts(net: Net) -> Parts:
    """What the network's file is written from."""
    return Parts(net.tensors, net.operators, net.inputs, [net.operators[-1].outputs[0]])
