"""Operators by rows, one row a reduction over the last axis: softmax, layer norm, RMS norm (contract, section 15)."""

from .masks import causal_mask, padding_mask
from .normalization_parameters import NormalizationParameters, make_normalization
from .normalize import layer_norm, rms_norm
from .softmax import softmax
from .softmax_parameters import SoftmaxParameters, make_softmax

__all__ = [
    "NormalizationParameters",
    "SoftmaxParameters",
    "causal_mask",
    "layer_norm",
    "make_normalization",
    "make_softmax",
    "padding_mask",
    "rms_norm",
    "softmax",
]
