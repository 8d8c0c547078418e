"""What the loaders share: the arrays that they return, their splits, and how they read files of unknown origin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 0
"""Of the splits that nobody has published."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a data set for classification.

    inputs  : (n, …), n ≥ 1; dtype, shape and range as the loader says
    labels  : int64 (n,), from 0 to len(classes) - 1
    classes : the labels' names
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def check_split(split: str, splits: Sequence[str]) -> None:
    """Raise ``ValueError`` unless `split` is one of `splits`."""
    if split not in splits:
        raise ValueError(f"split must be {listed(map(repr, splits), 'or')}, not {split!r}")


def stratified(labels: NDArray[np.int64], validation: int, test: int) -> tuple[NDArray[np.int64], ...]:
    """Indices of training, validation and test data, drawn with `SEED`: the same shares of every label in each.

    validation, test : how many of them; the rest is to train with
    """
    from sklearn.model_selection import train_test_split

    rest, tested = train_test_split(np.arange(len(labels)), test_size=test, stratify=labels, random_state=SEED)
    trained, chosen = train_test_split(rest, test_size=validation, stratify=labels[rest], random_state=SEED)
    return trained, chosen, tested


def find_files(
    folder: str | PathLike[str], names: Sequence[str], wanted: str, suffixes: Sequence[str] = ("",)
) -> list[Path]:
    """The paths of the files `names` in `folder`, each with the first of `suffixes` with which it is there.

    wanted : a clause that says what is read from which files
    Raises ``FileNotFoundError`` naming the folder, with `wanted` and the first file that is missing.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(2, f"there is no such folder; {wanted}", str(root))
    files = []
    for name in names:
        found = [file for suffix in suffixes if (file := root / f"{name}{suffix}").is_file()]
        if not found:
            raise FileNotFoundError(2, f"there is no file {name} in this folder; {wanted}", str(root))
        files.append(found[0])
    return files


def read_file(file: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; raises ``ValueError`` naming it if it has more, or is no file."""
    if not file.is_file():
        raise ValueError(f"{file}: must be a file")
    size = file.stat().st_size
    if size > most:
        raise ValueError(f"{file}: must have at most {most} bytes, not {size}")
    with file.open("rb") as stream:
        return stream.read(size)


def check_labels(labels: NDArray[np.uint8], classes: int, file: Path) -> NDArray[np.int64]:
    """`labels` as int64; raises ``ValueError`` naming their file unless they lie in 0 … classes - 1."""
    if labels.max() >= classes:
        raise ValueError(f"{file}: labels must be 0 to {classes - 1}, not {labels.max()}")
    return labels.astype(np.int64)


def listed(names: Iterable[str], conjunction: str = "and") -> str:
    """'a, b and c'."""
    *others, last = names
    return f"{', '.join(others)} {conjunction} {last}" if others else last
