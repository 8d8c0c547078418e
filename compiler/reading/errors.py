"""`ModelError`: why a model cannot be read, in one sentence that names the file, the operator and the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class ModelError(ValueError):
    """A model file that is damaged, foreign or not supported; the text names file, operator and reason."""


@contextmanager
def located(place: str) -> Iterator[None]:
    """Turn a ``ValueError`` raised inside into an `ModelError` that starts with `place`; let an `ModelError` pass."""
    try:
        yield
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{place}: {error}") from None


@contextmanager
def in_file(path: str | PathLike[str]) -> Iterator[None]:
    """Turn every ``ValueError`` raised inside into an `ModelError` that starts with the file."""
    try:
        yield
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None
