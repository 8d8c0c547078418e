"""What takes seconds says so before it begins: a line on standard error, unless somebody else listens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def announce(text: str) -> None:
    """Tell what begins, with about how long it takes."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(text)
    elif sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def announcing(listener: Callable[[str], None]) -> Iterator[None]:
    """Give what this thread announces in the block to `listener`, called with a sentence without a full stop."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
