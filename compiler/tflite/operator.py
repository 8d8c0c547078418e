"""`Operator`: an operator of the file, with its options."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import tflite  # type: ignore[import-untyped]

from ..reading.origin import Origin
from .accessors import Accessors
from .file import FileOperator

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
PADDINGS = ("SAME", "VALID")
# A table without fields, whose accessors give the schema's defaults.
_EMPTY = struct.pack("<HHi", 4, 4, 4)


@dataclass(frozen=True, eq=False)
class Operator(Origin):
    """index : the operator's in the file; inputs, made : indices of tensors, −1 where an optional one is left out."""

    index: int
    inputs: tuple[int, ...]
    made: tuple[int, ...]
    file: FileOperator
    accessors: Accessors

    def __str__(self) -> str:
        return f"operator {self.index} ({self.type}, makes {self.output!r})"

    def option(self, table: str, name: str) -> Any:
        """Field `name` of the options, which must be of type `table`; the schema's default where there are none."""
        options = getattr(tflite, table)()
        found = self.file.options
        if found is None or self.file.options_type == "NONE":
            options.Init(_EMPTY, 4)
        elif self.file.options_type != table:
            raise ValueError(f"options must be {table}, not {self.file.options_type}")
        else:
            self.accessors.read("options", options.Init, found.Bytes, found.Pos)
        return self.accessors.read(f"option {name}", getattr(options, name))

    def integer(self, table: str, name: str) -> int:
        """`option` as a number."""
        return int(self.option(table, name))

    def choice(self, table: str, name: str, choices: tuple[str, ...]) -> str:
        """`option` by its name in the schema."""
        number = self.integer(table, name)
        if not 0 <= number < len(choices):
            raise ValueError(f"option {name} must be from 0 to {len(choices) - 1}, not {number}")
        return choices[number]

    def activation(self, table: str) -> str:
        """The fused activation, one of `ACTIVATIONS`."""
        return self.choice(table, "FusedActivationFunction", ACTIVATIONS)


def operator(found: FileOperator, names: list[str], accessors: Accessors) -> Operator:
    """The operator with its tensors' names."""
    outputs = tuple(names[index] if index >= 0 else "" for index in found.outputs)
    return Operator("", found.code, outputs, found.index, found.inputs, found.outputs, found, accessors)
