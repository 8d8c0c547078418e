"""The four networks of MLPerf Tiny: their shapes, with TensorFlow's padding."""

from __future__ import annotations

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor

from .builder import NetworkBuilder, same_padding

MOBILENET_BLOCKS = (
    (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1), (256, 2),
    (256, 1),
)  # fmt: skip
"""Channels and stride of each depthwise and pointwise pair of MobileNetV1 at width 0.25."""


def resnet8(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """ResNet-8, image classification: 32×32×3 to 10 classes; 12.5 MMAC."""
    net = NetworkBuilder(arithmetic, seed, images)
    x = _same(net, net.input((32, 32, 3)), 16, 3, 1, "conv")
    for stage, (width, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
        y = _same(net, x, width, 3, stride, f"stack{stage}.conv1")
        y = _same(net, y, width, 3, 1, f"stack{stage}.conv2", activation=None)
        if stride > 1:
            x = _same(net, x, width, 1, stride, f"stack{stage}.shortcut", activation=None)
        x = net.add(x, y, f"stack{stage}.add", activation="relu")
    return net.finish(net.linear(net.average_pool(x, "pool"), 10, "dense"))


def ds_cnn(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """DS-CNN, keyword spotting: 49×10×1 spectrograms to 12 words; 2.7 MMAC."""
    net = NetworkBuilder(arithmetic, seed, images)
    x = net.input((49, 10, 1))
    padding = same_padding(x.shape, (10, 4), (2, 2))
    x = net.convolution(x, 64, (10, 4), "conv", strides=(2, 2), padding=padding)
    for block in range(4):
        x = _separable(net, x, 64, 1, f"block{block}")
    return net.finish(net.linear(net.average_pool(x, "pool"), 12, "dense"))


def mobilenet_v1(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """MobileNetV1 at width 0.25, visual wake words: 96×96×3 to 2 classes; 7.5 MMAC."""
    net = NetworkBuilder(arithmetic, seed, images)
    x = _same(net, net.input((96, 96, 3)), 8, 3, 2, "conv")
    for index, (channels, stride) in enumerate(MOBILENET_BLOCKS):
        x = _separable(net, x, channels, stride, f"block{index}")
    return net.finish(net.linear(net.average_pool(x, "pool"), 2, "dense"))


def autoencoder(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """The anomaly detector's autoencoder: 640 → 128 four times → 8 → 128 four times → 640; 0.26 MMAC."""
    net = NetworkBuilder(arithmetic, seed, images)
    x = net.input((640,))
    for index, length in enumerate((128, 128, 128, 128, 8, 128, 128, 128, 128)):
        x = net.linear(x, length, f"dense{index}", activation="relu")
    return net.finish(net.linear(x, 640, "output"))


def _same(
    net: NetworkBuilder, x: Tensor, channels: int, size: int, stride: int, name: str, activation: str | None = "relu"
) -> Tensor:
    kernel, strides = (size, size), (stride, stride)
    padding = same_padding(x.shape, kernel, strides)
    return net.convolution(x, channels, kernel, name, strides=strides, padding=padding, activation=activation)


def _separable(net: NetworkBuilder, x: Tensor, channels: int, stride: int, name: str) -> Tensor:
    kernel, strides = (3, 3), (stride, stride)
    padding = same_padding(x.shape, kernel, strides)
    depth = x.shape[2]
    x = net.convolution(x, depth, kernel, f"{name}.depthwise", strides=strides, padding=padding, groups=depth)
    return net.convolution(x, channels, (1, 1), f"{name}.pointwise")
