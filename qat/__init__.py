"""Quantization-aware training: torch models whose forward value is the accelerator's, bit for bit."""

from .calibration.adaround import AdaRound
from .calibration.calibrate import calibrate, fit_accumulator
from .calibration.compare_ranges import RangeComparison, compare_ranges
from .calibration.ranges import record_ranges
from .calibration.search import search_bits
from .calibration.sizes import activation_bytes, layer_bits, weight_bytes
from .checkpoint import load_checkpoint, save_checkpoint
from .compare import Comparison, compare
from .distributed import data_parallel
from .export import export_onnx
from .export_tflite import export_tflite
from .model import PreparedModel, codes, freeze_statistics, host_inputs, overflow_counts
from .prepare import prepare
from .recipes.distill import Distillation, distillation_loss
from .recipes.factorize import factorize
from .recipes.guarantee import guarantee, overflow_penalty
from .recipes.prune import prune_pattern, prune_weights
from .recipes.prune_channels import prune_channels
from .recipes.recipe import Recipe
from .scales.settings import LayerSettings, Settings
from .train import train

__all__ = [
    "AdaRound",
    "Comparison",
    "Distillation",
    "LayerSettings",
    "PreparedModel",
    "RangeComparison",
    "Recipe",
    "Settings",
    "activation_bytes",
    "calibrate",
    "codes",
    "compare",
    "compare_ranges",
    "data_parallel",
    "distillation_loss",
    "export_onnx",
    "export_tflite",
    "factorize",
    "fit_accumulator",
    "freeze_statistics",
    "guarantee",
    "host_inputs",
    "layer_bits",
    "load_checkpoint",
    "overflow_counts",
    "overflow_penalty",
    "prepare",
    "prune_channels",
    "prune_pattern",
    "prune_weights",
    "record_ranges",
    "save_checkpoint",
    "search_bits",
    "train",
    "weight_bytes",
]
