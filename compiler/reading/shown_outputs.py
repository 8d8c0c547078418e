"""`check_outputs`: where a reader is asked to cut a model."""

from __future__ import annotations

from collections.abc import Sequence


def check_outputs(outputs: Sequence[str] | None) -> None:
    """Raise ``TypeError`` unless `outputs` is None or a sequence of names."""
    if outputs is None:
        return
    if isinstance(outputs, str):
        raise TypeError(f"outputs must be a sequence of names, not the text {outputs!r}")
    if not isinstance(outputs, Sequence) or not all(isinstance(name, str) for name in outputs):
        raise TypeError(f"outputs must be a sequence of names or None, not {outputs!r}")
