"""`ChannelScaled`: an activation with a scale for each channel, which only a depthwise convolution reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor

from .graph_builder import GraphBuilder
from .origin import Origin
from .values import Source, Target

WAY_OUT = (
    "let the quantizer take one scale for the whole tensor (NNCF: per_channel=False in "
    "advanced_parameters.activations_quantization_params)"
)


@dataclass(frozen=True, eq=False)
class ChannelScaled(Source):
    """Dequantized codes of `tensor`, whose own scale is the largest of `scale`, (channels,) float32."""

    operator: Origin
    tensor: Tensor
    scale: NDArray[np.float32]

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Refuse: a layer behind would need one scale."""
        raise ValueError(f"has one scale per channel, and only a depthwise Conv reads such codes; {WAY_OUT}")
