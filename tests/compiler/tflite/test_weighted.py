"""Convolutions and matrix products against TFLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import load_model
from compiler.tflite.writer import FileTensor
from emulator import Arithmetic
from tests.compiler.tflite.net import Net, check_tflm
from tests.compiler.tflite.whole import classifier

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_conv(tmp_path: Path, padding: int, activation: str) -> None:
    """SAME and VALID, strides, dilations, all fused activations, with and without a bias."""
    for seed, (kernel, strides, dilations) in enumerate(
        [((3, 3), (1, 1), (1, 1)), ((3, 2), (2, 2), (1, 1)), ((2, 3), (1, 1), (2, 3)), ((1, 1), (2, 3), (1, 1))]
    ):
        net = Net(seed)
        x = net.input((1, 9, 8, 5))
        w, scale = net.weights((6, *kernel, 5), 0 if seed % 2 else None)
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        size = [
            -(-n // s) if padding == 0 else (n - e) // s + 1 for n, s, e in zip((9, 8), strides, extents, strict=True)
        ]
        bias = [net.bias(6, x, scale)] if seed % 3 else [""]
        net.add(
            "CONV_2D",
            [x, w, *bias],
            (1, *size, 6),
            Padding=padding,
            StrideH=strides[0],
            StrideW=strides[1],
            DilationHFactor=dilations[0],
            DilationWFactor=dilations[1],
            FusedActivationFunction=ACTIVATIONS[activation],
        )
        check_tflm(net, tmp_path)


def test_grouped_conv(tmp_path: Path) -> None:
    net = Net(3)
    x = net.input((1, 6, 7, 6))
    w, scale = net.weights((4, 3, 3, 3), 0)
    net.add("CONV_2D", [x, w, net.bias(4, x, scale)], (1, 6, 7, 4), StrideH=1, StrideW=1)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise(tmp_path: Path, multiplier: int) -> None:
    for seed, (strides, dilations, padding) in enumerate(
        [((1, 1), (1, 1), 0), ((2, 2), (1, 1), 0), ((1, 1), (2, 2), 1)]
    ):
        net = Net(seed)
        x = net.input((1, 10, 9, 4))
        w, scale = net.weights((1, 3, 3, 4 * multiplier), 3)
        extent = 2 * dilations[0] + 1
        size = [-(-n // strides[0]) if padding == 0 else (n - extent) // strides[0] + 1 for n in (10, 9)]
        net.add(
            "DEPTHWISE_CONV_2D",
            [x, w, net.bias(4 * multiplier, x, scale)],
            (1, *size, 4 * multiplier),
            Padding=padding,
            StrideH=strides[0],
            StrideW=strides[1],
            DilationHFactor=dilations[0],
            DilationWFactor=dilations[1],
            DepthMultiplier=multiplier,
            FusedActivationFunction=1,
        )
        check_tflm(net, tmp_path)


def test_fully_connected(tmp_path: Path) -> None:
    for seed, axis in enumerate([None, 0]):
        net = Net(seed)
        x = net.input((1, 20))
        w, scale = net.weights((7, 20), axis)
        y = net.add("FULLY_CONNECTED", [x, w, net.bias(7, x, scale)], (1, 7), FusedActivationFunction=1)
        w, _ = net.weights((5, 7), axis)
        net.add("FULLY_CONNECTED", [y, w, ""], (1, 5))
        check_tflm(net, tmp_path)


def test_fully_connected_of_positions(tmp_path: Path) -> None:
    """keep_num_dims; and a map that is flattened by the layer itself."""
    net = Net(2)
    x = net.input((1, 3, 4, 6))
    w, scale = net.weights((5, 6), None)
    y = net.add("FULLY_CONNECTED", [x, w, net.bias(5, x, scale)], (1, 3, 4, 5), KeepNumDims=True)
    w, scale = net.weights((8, 60), None)
    net.add("FULLY_CONNECTED", [y, w, net.bias(8, y, scale)], (1, 8))
    check_tflm(net, tmp_path)


def test_rows_without_a_batch_axis(tmp_path: Path) -> None:
    """(1, 12, 6) → RESHAPE (12, 6) → FULLY_CONNECTED (12, 5): all 12 rows are one sample."""
    net = Net(4)
    x = net.input((1, 12, 6))
    y = net.add("RESHAPE", [x, net.integers(12, 6)], (12, 6), x)
    w, scale = net.weights((5, 6), None)
    y = net.add("FULLY_CONNECTED", [y, w, net.bias(5, y, scale)], (12, 5))
    net.add("RESHAPE", [y, net.integers(1, 60)], (1, 60), y)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_transpose_conv(tmp_path: Path, stride: int, padding: int) -> None:
    for kernel in (1, 2, 3, 5):
        net = Net(kernel)
        x = net.input((1, 4, 3, 3))
        w, scale = net.weights((5, kernel, kernel, 3), 0)
        size = [n * stride if padding == 0 else (n - 1) * stride + kernel for n in (4, 3)]
        shape = (1, *size, 5)
        net.add(
            "TRANSPOSE_CONV",
            [net.integers(*shape), w, x, net.bias(5, x, scale)],
            shape,
            Padding=padding,
            StrideH=stride,
            StrideW=stride,
        )
        check_tflm(net, tmp_path)


def test_weights_of_four_bits(tmp_path: Path) -> None:
    """Two to a byte; an odd number of them leaves half of the last byte."""
    net = Net(5)
    x = net.input((1, 5, 5, 3))
    values = net.rng.integers(-8, 8, (5, 3, 3, 3)).astype(np.int8)
    scale = (2.0 ** net.rng.uniform(-6, -3, 5)).astype(np.float32)
    net.tensors.append(FileTensor("w0", values.shape, "int4", scale, np.zeros(5, np.int64), values))
    y = net.add("CONV_2D", [x, "w0", net.bias(5, x, scale)], (1, 5, 5, 5), StrideH=1, StrideW=1)
    values = net.rng.integers(-8, 8, (3, 125)).astype(np.int8)
    net.tensors.append(FileTensor("w1", values.shape, "int4", 0.05, 0, values))
    net.add("FULLY_CONNECTED", [y, "w1", net.bias(3, y, np.float32([0.05]))], (1, 3))
    check_tflm(net, tmp_path)
    assert load_model(tmp_path / "net.tflite", Arithmetic(weight_bits=4)).nodes


def test_a_bias_that_does_not_fit_says_what_would_hold_it(tmp_path: Path) -> None:
    file = classifier().save(tmp_path)
    assert load_model(file).nodes[0].bias[0] == -2688
    with pytest.raises(ValueError, match=r"bias of channel 0 must fit 8 bits .*, not -2688; .*accumulator_bits = 13 "):
        load_model(file, Arithmetic(accumulator_bits=8))
