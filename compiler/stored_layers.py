"""What a file says about its layers: metadata entry ``lockstep.layers``, JSON of facts by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

KEY = "lockstep.layers"


def read_layers(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """{layer: its facts}, {} without the entry; they are passed on, and nothing is computed from them.

    Raises ``ValueError`` where the entry is not an object of objects.
    """
    try:
        layers = json.loads(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):  # ValueError: also a number of too many digits
        raise ValueError(f"metadata {KEY} must be JSON, not {metadata[KEY][:60]!r}") from None
    if not isinstance(layers, dict) or not all(isinstance(facts, dict) for facts in layers.values()):
        raise ValueError(f"metadata {KEY} must be an object of objects by layer, not {metadata[KEY][:60]!r}")
    return layers
