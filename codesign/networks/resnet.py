"""ResNet-18 and ResNet-50 v1.5 (the stride in the 3×3 convolution), 224×224×3 images to 1000 logits."""

from __future__ import annotations

from collections.abc import Callable

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor

from .builder import NetworkBuilder

IMAGE = (224, 224, 3)
CLASSES = 1000
STAGES = (64, 128, 256, 512)
Block = Callable[[NetworkBuilder, Tensor, int, int, str], Tensor]


def resnet18(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """ResNet-18: 1.81 GMAC."""
    return _resnet(NetworkBuilder(arithmetic, seed, images), (2, 2, 2, 2), _basic)


def resnet50(arithmetic: Arithmetic, seed: int = 0, images: int = 1) -> Graph:
    """ResNet-50 v1.5: 4.09 GMAC."""
    return _resnet(NetworkBuilder(arithmetic, seed, images), (3, 4, 6, 3), _bottleneck)


def _resnet(net: NetworkBuilder, depths: tuple[int, ...], block: Block) -> Graph:
    x = net.convolution(net.input(IMAGE), STAGES[0], (7, 7), "conv1", strides=(2, 2), padding=(3, 3, 3, 3))
    x = net.max_pool(x, (3, 3), (2, 2), (1, 1, 1, 1), "maxpool")
    for stage, (width, depth) in enumerate(zip(STAGES, depths, strict=True)):
        for index in range(depth):
            x = block(net, x, width, 2 if stage and not index else 1, f"layer{stage + 1}.{index}")
    return net.finish(net.linear(net.average_pool(x, "avgpool"), CLASSES, "fc"))


def _shortcut(net: NetworkBuilder, x: Tensor, channels: int, stride: int, name: str) -> Tensor:
    """The block's input, projected where its shape is another than the output's."""
    if stride == 1 and x.shape[2] == channels:
        return x
    return net.convolution(x, channels, (1, 1), f"{name}.downsample", strides=(stride, stride), activation=None)


def _basic(net: NetworkBuilder, x: Tensor, width: int, stride: int, name: str) -> Tensor:
    pads = (1, 1, 1, 1)
    y = net.convolution(x, width, (3, 3), f"{name}.conv1", strides=(stride, stride), padding=pads)
    y = net.convolution(y, width, (3, 3), f"{name}.conv2", padding=pads, activation=None)
    return net.add(y, _shortcut(net, x, width, stride, name), f"{name}.add", activation="relu")


def _bottleneck(net: NetworkBuilder, x: Tensor, width: int, stride: int, name: str) -> Tensor:
    y = net.convolution(x, width, (1, 1), f"{name}.conv1")
    y = net.convolution(y, width, (3, 3), f"{name}.conv2", strides=(stride, stride), padding=(1, 1, 1, 1))
    y = net.convolution(y, 4 * width, (1, 1), f"{name}.conv3", activation=None)
    return net.add(y, _shortcut(net, x, 4 * width, stride, name), f"{name}.add", activation="relu")
