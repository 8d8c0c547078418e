"""Which operators the outputs need, and in which order tensors come to be."""

from __future__ import annotations

from collections.abc import Sequence

from .file import TfliteFile
from .operator import Operator

# The shape of the result is that of its tensor; what computes the operand that says so too (SHAPE, PACK) is not needed.
READ_INPUTS = {"RESHAPE": slice(0, 1), "TRANSPOSE_CONV": slice(1, 4)}


def shown_tensors(file: TfliteFile, outputs: Sequence[str] | None) -> list[int]:
    """The outputs: the file's, or these tensors by name; ``ValueError`` where there is none."""
    if outputs is None:
        found = [index for index in file.outputs if index >= 0]
    else:
        index_of = {tensor.name: tensor.index for tensor in file.tensors}
        for name in outputs:
            if name not in index_of:
                raise ValueError(f"outputs must be names of its tensors, not {name!r}")
        found = [index_of[name] for name in outputs]
    if not found:
        raise ValueError("must have at least one output")
    return list(dict.fromkeys(found))


def needed_in_order(operators: list[Operator], shown: list[int]) -> list[Operator]:
    """The operators that the outputs need, in the file's order, which is that of execution."""
    wanted, needed = set(shown), []
    for op in reversed(operators):
        if wanted.intersection(op.made):
            needed.append(op)
            wanted.update(read_inputs(op))
    return needed[::-1]


def check_makers(file: TfliteFile) -> None:
    """Raise ``ValueError`` where a tensor has two origins, or is read in front of its own."""
    inputs, makers = set(file.inputs), dict[int, int]()
    for found in file.operators:
        for index in found.outputs:
            if index in makers or (index in inputs and index >= 0):
                first = f"operator {makers[index]}" if index in makers else "an input"
                raise ValueError(f"{file.tensors[index]} must have one origin, not {first} and operator {found.index}")
            if index >= 0:
                makers[index] = found.index
    for found in file.operators:
        for index in found.inputs:
            if makers.get(index, -1) >= found.index:
                raise ValueError(
                    f"operator {found.index} ({found.code}) reads {file.tensors[index]}, which operator "
                    f"{makers[index]} makes behind it"
                )


def read_inputs(op: Operator) -> tuple[int, ...]:
    """The tensors whose values count."""
    return op.inputs[READ_INPUTS.get(op.type, slice(None))]


def common_batch(file: TfliteFile) -> int:
    """The size of the inputs' common first axis, 1 where they have none."""
    sizes = {file.tensors[index].shape[:1] for index in file.inputs if index >= 0}
    common = sizes.pop() if len(sizes) == 1 else (1,)
    return common[0] if common and common[0] > 0 else 1
