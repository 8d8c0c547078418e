"""What an exported file says about itself besides its operators: metadata entries, each of them JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calibration.ranges import recorded_ranges
from .layers.weighted import Weighted
from .quantized_layers import QuantizedLayers

ARITHMETIC = "lockstep.arithmetic"
SETTINGS = "lockstep.settings"
LAYERS = "lockstep.layers"
TABLES = "lockstep.tables"
OF_WEIGHTS = ("weight_bits", "weight_observer", "per_channel", "symmetric_weights")


def metadata(quantizers: QuantizedLayers, tables: Mapping[str, NDArray[np.int8]]) -> dict[str, str]:
    """{key: JSON} of all entries.

    ``lockstep.arithmetic`` : the fields of the `Arithmetic`
    ``lockstep.settings`` : the rules of the `Settings`
    ``lockstep.layers`` : what `layer_facts` gives
    ``lockstep.tables`` : {layer: its lookup table, one byte per code in hexadecimal}, the smallest input code first
    """
    entries: dict[str, Any] = {
        ARITHMETIC: quantizers.arithmetic.as_dict(),
        SETTINGS: quantizers.settings.as_dict(),
        LAYERS: layer_facts(quantizers),
        TABLES: {name: codes.tobytes().hex() for name, codes in tables.items()},
    }
    return {key: json.dumps(value, allow_nan=False) for key, value in entries.items()}


def layer_facts(quantizers: QuantizedLayers) -> dict[str, dict[str, Any]]:
    """{input or layer with scales: how it is quantized}.

    The fields of its `LayerSettings` with the bits that it has, those of weights only where it has some; then also
    ``guaranteed``, whether these cannot overflow (`qat.guarantee`); ``range``, the two ends that its observer found;
    ``statistics``, the fields of its `RangeStatistics`, where they are recorded.
    """
    weighted = {layer.name: layer for layer in quantizers if isinstance(layer, Weighted)}
    statistics = recorded_ranges(quantizers)
    facts = {}
    for name, quantizer in quantizers.activations().items():
        fields = asdict(quantizer.settings) | {"activation_bits": quantizer.bits}
        if name in weighted:
            fields["weight_bits"] = weighted[name].weight.bits
            fields["guaranteed"] = bool(weighted[name].guaranteed)
        else:
            fields = {field: value for field, value in fields.items() if field not in OF_WEIGHTS}
        facts[name] = fields | {"range": [float(quantizer.low), float(quantizer.high)]}
        if name in statistics:
            facts[name]["statistics"] = asdict(statistics[name])
    return facts
