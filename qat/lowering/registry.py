"""Which handler lowers which operator: the handlers register themselves, and `lower` reads the table."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx

from .arguments import Arguments
from .context import Lowering

Handler = Callable[[Lowering, fx.Node, Arguments], None]

# An in-place operator is handled as the one without the underscore.
HANDLERS: dict[str, Handler] = {}
READERS_OF_STEPS: set[str] = set()  # operators whose handlers take `Steps` as they are


def register(*names: str, handler: Handler, reads_steps: bool = False) -> None:
    """Let `handler` lower the operators ``aten.NAME``."""
    for name in names:
        assert f"aten.{name}" not in HANDLERS, name
        HANDLERS[f"aten.{name}"] = handler
        if reads_steps:
            READERS_OF_STEPS.add(f"aten.{name}")


def handles(*names: str) -> Callable[[Handler], Handler]:
    """The decorator of a handler of the operators ``aten.NAME``."""

    def decorate(handler: Handler) -> Handler:
        register(*names, handler=handler)
        return handler

    return decorate
