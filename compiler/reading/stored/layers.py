"""What a file says about its layers: metadata entry ``lockstep.layers``, JSON of facts by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_entry import read_json

KEY = "lockstep.layers"
MAX_LENGTH = 1 << 27


def read_layers(metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """{layer: its facts}, {} without the entry; they are passed on, and nothing is computed from them.

    Raises ``ValueError`` where the entry is not an object of objects, or of more than `MAX_LENGTH` characters.
    """
    layers = read_json(metadata, KEY, MAX_LENGTH)
    if not all(isinstance(facts, dict) for facts in layers.values()):
        raise ValueError(f"metadata {KEY} must be an object of objects by layer, not {metadata[KEY][:60]!r}")
    return layers
