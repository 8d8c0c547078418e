"""`Results`: what a model returns, one tensor or several in tuples, lists and dictionaries, and their names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Results:
    """layers : name of a result, as in the exported file, to the layer or input whose codes it shows
    structure : what the float model returns, with the numbers 0, 1, … in the place of the tensors
    """

    layers: dict[str, str]
    structure: Any

    def __call__(self, tensors: Mapping[str, Tensor]) -> Any:
        """What the model returns; tensors : of the layers."""
        return _filled(self.structure, [tensors[layer] for layer in self.layers.values()])


def result_names(structure: Any) -> list[str]:
    """The names of the tensors in `structure`, in the order of its numbers.

    ``output`` for one; of several, the keys or ``output_0``, ``output_1``, …, and for what lies in one another all of
    them, joined by underscores. Raises ``ValueError`` for other containers and for names that an ONNX tensor of a
    layer may have.
    """
    paths = dict(_paths(structure, ()))
    if not paths:
        raise ValueError("the model must return at least one tensor, not none: return what a layer makes")
    if len(paths) == 1:
        return ["output"]
    names = ["_".join(paths[index]) for index in range(len(paths))]
    if any(not name or "/" in name or names.count(name) > 1 for name in names):
        raise ValueError(f"the model's results must have different names without a slash, not {names}: rename some")
    return names


def _paths(part: Any, path: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(number of a tensor, the keys and places on the way to it)."""
    if isinstance(part, int):
        yield part, path
    elif isinstance(part, (dict, list, tuple)):
        keys = part if isinstance(part, dict) else range(len(part))
        for key in keys:
            before = path if path or isinstance(part, dict) else ("output",)
            yield from _paths(part[key], (*before, str(key)))
    else:
        raise ValueError(
            f"the model must return tensors in tuples, lists and dictionaries, not {type(part).__name__}: leave "
            "others out"
        )


def _filled(part: Any, tensors: list[Tensor]) -> Any:
    """`part` with the tensors in the place of their numbers."""
    if isinstance(part, int):
        return tensors[part]
    if isinstance(part, dict):
        result = copy.copy(part)
        result.update((key, _filled(value, tensors)) for key, value in part.items())
        return result
    values = [_filled(value, tensors) for value in part]
    return type(part)(*values) if hasattr(part, "_fields") else type(part)(values)
