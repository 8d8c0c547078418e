"""MobileNetV2 at width 1, 224×224×3 images to 1000 logits."""

from __future__ import annotations

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor

from .builder import NetworkBuilder

IMAGE = (224, 224, 3)
CLASSES = 1000
# expansion, output channels, blocks, stride of the first
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """MobileNetV2: 0.30 GMAC."""
    net = NetworkBuilder(arithmetic, seed, images)
    x = net.convolution(net.input(IMAGE), 32, (3, 3), "stem", strides=(2, 2), padding=(1, 1, 1, 1), activation="relu6")
    for index, (expansion, channels, depth, stride) in enumerate(BLOCKS):
        for block in range(depth):
            x = _inverted_residual(net, x, expansion, channels, stride if not block else 1, f"block{index}.{block}")
    x = net.convolution(x, 1280, (1, 1), "head", activation="relu6")
    return net.finish(net.linear(net.average_pool(x, "avgpool"), CLASSES, "fc"))


def _inverted_residual(net: NetworkBuilder, x: Tensor, expansion: int, channels: int, stride: int, name: str) -> Tensor:
    wide = expansion * x.shape[2]
    y = x if expansion == 1 else net.convolution(x, wide, (1, 1), f"{name}.expand", activation="relu6")
    y = net.convolution(
        y, wide, (3, 3), f"{name}.depthwise", strides=(stride, stride), padding=(1, 1, 1, 1), groups=wide,
        activation="relu6",
    )  # fmt: skip
    y = net.convolution(y, channels, (1, 1), f"{name}.project", activation=None)
    return net.add(x, y, f"{name}.add") if stride == 1 and x.shape[2] == channels else y
