"""Network families of our own making, small and without transformers: ``FAMILIES[name]``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import classifiers, dense_outputs, mobile, sequences

BATCH = 8
"""Samples of a calibration batch."""


@dataclass(frozen=True)
class Family:
    """How a network is built and what it takes.

    shapes : of the float inputs, without the batch
    dynamic : whether the file leaves the batch open
    categories : how many each column of a last input, int64 (n, columns), has; () without such an input
    """

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    dynamic: bool = True
    categories: tuple[int, ...] = ()

    def network(self) -> nn.Module:
        """The network, its statistics those of random inputs, ready for inference; the same at every call."""
        torch.manual_seed(1)
        model = self.build()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = None  # the mean over the batches
                nn.init.uniform_(module.weight, 0.6, 1.4)
                nn.init.normal_(module.bias, 0, 0.3)
        model.train()
        with torch.no_grad():
            for seed in range(4):
                model(*self.inputs(100 + seed))
        return model.eval()

    def inputs(self, seed: int, batch: int = BATCH) -> tuple[Tensor, ...]:
        """One batch, float32 of a normal distribution, or categories int64."""
        generator = torch.Generator().manual_seed(seed)
        tensors = [torch.randn((batch, *shape), generator=generator) for shape in self.shapes]
        if self.categories:
            columns = [torch.randint(0, most, (batch, 1), generator=generator) for most in self.categories]
            tensors.append(torch.cat(columns, 1))
        return tuple(tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs' names in the file."""
        count = len(self.shapes) + bool(self.categories)
        return ("input",) if count == 1 else tuple(f"input{index}" for index in range(count))


IMAGE, GRAY = ((3, 32, 32),), ((1, 32, 32),)

FAMILIES: dict[str, Family] = {
    "mlp": Family(classifiers.mlp, ((64,),)),
    "lenet": Family(classifiers.lenet, GRAY, dynamic=False),
    "vgg": Family(classifiers.vgg, IMAGE),
    "resnet": Family(classifiers.resnet, IMAGE),
    "resnet_bottleneck": Family(classifiers.resnet_bottleneck, ((3, 16, 16),), dynamic=False),
    "regnet": Family(classifiers.regnet, IMAGE),
    "squeezenet": Family(classifiers.squeezenet, IMAGE),
    "densenet": Family(classifiers.densenet, ((3, 16, 16),)),
    "inception": Family(classifiers.inception, IMAGE, dynamic=False),
    "mobilenet_v1": Family(mobile.mobilenet_v1, IMAGE),
    "mobilenet_v2": Family(mobile.mobilenet_v2, IMAGE),
    "mobilenet_v3": Family(mobile.mobilenet_v3, IMAGE),
    "efficientnet": Family(mobile.efficientnet, IMAGE, dynamic=False),
    "shufflenet": Family(mobile.shufflenet, IMAGE),
    "ghostnet": Family(mobile.ghostnet, IMAGE),
    "convmixer": Family(mobile.convmixer, IMAGE),
    "ds_cnn": Family(mobile.ds_cnn, ((1, 49, 10),)),
    "unet_transposed": Family(dense_outputs.unet_transposed, ((3, 16, 16),)),
    "unet_bilinear": Family(dense_outputs.unet_bilinear, ((3, 16, 16),)),
    "pyramid": Family(dense_outputs.PyramidNetwork, IMAGE, dynamic=False),
    "yolo": Family(dense_outputs.Yolo, IMAGE),
    "single_shot": Family(dense_outputs.SingleShot, IMAGE),
    "segmentation": Family(dense_outputs.Segmentation, IMAGE, dynamic=False),
    "super_resolution": Family(dense_outputs.super_resolution, ((1, 16, 16),)),
    "generator": Family(dense_outputs.Generator, ((16,),)),
    "two_heads": Family(dense_outputs.RepeatedHead, IMAGE),
    "temporal": Family(sequences.Tcn, ((4, 32),)),
    "audio": Family(sequences.wavenet_encoder, ((1, 64),), dynamic=False),
    "lstm": Family(sequences.lstm, ((8, 8),), dynamic=False),
    "gru": Family(sequences.gru, ((8, 8),), dynamic=False),
    "autoencoder": Family(sequences.autoencoder, ((64,),)),
    "siamese": Family(sequences.Siamese, ((1, 16, 16), (1, 16, 16))),
    "tabular": Family(sequences.Tabular, ((5,),), categories=(10, 6)),
}
"""Name → family."""
