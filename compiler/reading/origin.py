"""`Origin`: the operator of a file that something comes from, as messages and layers name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Origin:
    """An operator of a file.

    name : the file's, may be empty
    type : the operator's, as the format spells it
    outputs : tensor names, '' where an optional one is left out
    """

    name: str
    type: str
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        kind = self.type if self.type.isprintable() else repr(self.type)
        return f"{kind} {self.name!r}" if self.name else f"{kind} (unnamed, makes {self.output!r})"

    @property
    def output(self) -> str:
        """The first output's name."""
        return self.outputs[0] if self.outputs else ""

    @property
    def label(self) -> str:
        """The operator's name, or its first output's where it has none."""
        return self.name or self.output
