"""Quantization-aware training: torch models whose forward value is the accelerator's, bit for bit."""

from .adaround import AdaRound
from .calibrate import calibrate, fit_accumulator
from .compare import Comparison, compare
from .compare_ranges import RangeComparison, compare_ranges
from .export import export_onnx
from .guarantee import guarantee, overflow_penalty
from .model import PreparedModel, codes, freeze_statistics, host_inputs, overflow_counts
from .prepare import prepare
from .ranges import record_ranges
from .search import search_bits, weight_bytes
from .settings import LayerSettings, Settings

__all__ = [
    "AdaRound",
    "Comparison",
    "LayerSettings",
    "PreparedModel",
    "RangeComparison",
    "Settings",
    "calibrate",
    "codes",
    "compare",
    "compare_ranges",
    "export_onnx",
    "fit_accumulator",
    "freeze_statistics",
    "guarantee",
    "host_inputs",
    "overflow_counts",
    "overflow_penalty",
    "prepare",
    "record_ranges",
    "search_bits",
    "weight_bytes",
]
