"""`OnnxError`: why a model cannot be read, in one sentence that names the file, the node and the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class OnnxError(ValueError):
    """A model file that is damaged, foreign or not supported; the text names file, node, operator and reason."""


@contextmanager
def located(place: str) -> Iterator[None]:
    """Turn a ``ValueError`` raised inside into an `OnnxError` that starts with `place`; let an `OnnxError` pass."""
    try:
        yield
    except OnnxError:
        raise
    except ValueError as error:
        raise OnnxError(f"{place}: {error}") from None


@contextmanager
def in_file(path: str | PathLike[str]) -> Iterator[None]:
    """Turn every ``ValueError`` raised inside into an `OnnxError` that starts with the file."""
    try:
        yield
    except ValueError as error:
        raise OnnxError(f"{path}: {error}") from None
