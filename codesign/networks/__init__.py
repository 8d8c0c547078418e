"""Networks of known shapes, built in code as integer graphs: ``NETWORKS[name](arithmetic, seed, images)``."""

from __future__ import annotations

from collections.abc import Callable

from emulator.graph import Graph

from .attention import attention_products, encoder_products
from .builder import NetworkBuilder, same_padding
from .mlperf_tiny import autoencoder, ds_cnn, mobilenet_v1, resnet8
from .mobilenet import mobilenet_v2
from .resnet import resnet18, resnet50
from .single_layer import distinct_convolutions, gemm, layer_alone, macs

NETWORKS: dict[str, Callable[..., Graph]] = {
    "ResNet-18": resnet18,
    "ResNet-50": resnet50,
    "MobileNetV2": mobilenet_v2,
    "ResNet-8": resnet8,
    "DS-CNN": ds_cnn,
    "MobileNetV1-0.25": mobilenet_v1,
    "autoencoder": autoencoder,
}
"""Name → (arithmetic, seed, images for calibration; 0: shapes alone) → graph of one sample."""
MLPERF_TINY = ("ResNet-8", "DS-CNN", "MobileNetV1-0.25", "autoencoder")
GROUPS = {"MLPerf-Tiny": MLPERF_TINY}
"""Name → names of `NETWORKS` that are judged together."""

__all__ = [
    "GROUPS",
    "MLPERF_TINY",
    "NETWORKS",
    "NetworkBuilder",
    "attention_products",
    "autoencoder",
    "distinct_convolutions",
    "ds_cnn",
    "encoder_products",
    "gemm",
    "layer_alone",
    "macs",
    "mobilenet_v1",
    "mobilenet_v2",
    "resnet8",
    "resnet18",
    "resnet50",
    "same_padding",
]
