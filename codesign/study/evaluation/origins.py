"""The data and the network that a study names, as objects, kept for the next task of the same process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...datasets import Dataset, load_builtin
from ...inputs import read_npz
from ..definition.origins import (
    ARRAYS,
    DATA_BYTES,
    FINISHED,
    SPLITS,
    ChangedError,
    check_arrays,
    factory_source,
    file_digest,
)
from ..definition.study import Data, Network

if TYPE_CHECKING:
    from torch import Tensor, nn


@lru_cache(1)
def dataset(data: Data, folder: Path) -> Dataset:
    """Training, validation and test data; ``ValueError`` where what a factory or a file gives is none."""
    if data.kind == "builtin":
        return load_builtin(data.name)
    where = f"[data] {data.kind} {data.name}"
    if data.kind == "factory":
        made = _made(data.name, factory(data.name, data.digest, folder))
        if not isinstance(made, Dataset):
            raise ValueError(f"{where} must give a Dataset of codesign.datasets, not {type(made).__name__}")
        return _checked({field: getattr(made, field) for field in ARRAYS}, made.classes, where)
    _check_digest(folder / data.name, data.digest, where)
    arrays = read_npz(folder / data.name, max_bytes=DATA_BYTES)
    if set(arrays) == set(FINISHED):  # of a network that is finished: nothing to train with, nothing held back
        own = {f"validation_{kind}": arrays[kind] for kind in arrays}
        empty = {f"{split}_{kind}": arrays[kind][:0] for split in ("train", "test") for kind in arrays}
        arrays = own | empty
    labels = np.concatenate([arrays[f"{split}_labels"] for split in SPLITS])
    classes = tuple(str(number) for number in range(int(labels.max(initial=-1)) + 1))
    return _checked(arrays, classes, where)


def _checked(arrays: Mapping[str, NDArray[Any]], classes: tuple[str, ...], where: str) -> Dataset:
    check_arrays(arrays, where)
    for split in SPLITS:
        inputs, labels = arrays[f"{split}_inputs"], arrays[f"{split}_labels"]
        if not np.isfinite(inputs).all():
            raise ValueError(f"{where}: {split}_inputs must be finite numbers")
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise ValueError(f"{where}: {split}_labels must be from 0 to {len(classes) - 1}")
    typed = {name: array.astype(np.float32 if name.endswith("inputs") else np.int64) for name, array in arrays.items()}
    return Dataset(**typed, classes=classes)


def network(named: Network, folder: Path) -> tuple[Callable[[], nn.Module], tuple[Tensor, ...] | None]:
    """What makes the torch module, and the example inputs that its factory gives beside it, if it does.

    The module is made anew by each call, its parameters drawn from torch's generator.
    """
    if ":" not in named.name:
        from ...datasets.networks import network as own

        return lambda: own(named.name), None
    make = factory(named.name, named.digest, folder)

    def module() -> nn.Module:
        return _module(_made(named.name, make), named.name)[0]

    return module, _module(_made(named.name, make), named.name)[1]


def _module(made: Any, name: str) -> tuple[nn.Module, tuple[Tensor, ...] | None]:
    from torch import Tensor, nn

    module, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    if not isinstance(module, nn.Module) or not (inputs is None or all(isinstance(x, Tensor) for x in inputs)):
        raise ValueError(
            f"[network] factory {name} must give a torch module, or (module, example inputs), not {type(made).__name__}"
        )
    return module, inputs


def factory(name: str, digest: str, folder: Path) -> Callable[[], Any]:
    """The function of ``module:function``, of the source that the study has seen."""
    source = factory_source(name, folder, "the study's")
    _check_digest(source, digest, f"factory {name}")
    module_name, _, function = name.partition(":")
    found = getattr(_module_of(module_name, source, folder), function, None)
    if not callable(found):
        raise ValueError(f"factory {name}: there is no function {function} in {source}")
    made: Callable[[], Any] = found
    return made


def _made(name: str, make: Callable[[], Any]) -> Any:
    """What a factory gives; what it raises, in a sentence that names it. That is not kept: it may work another time."""
    try:
        return make()
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"factory {name} raised {type(error).__name__}: {error}") from error


@cache
def _module_of(name: str, source: Path, folder: Path) -> Any:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    loaded = sys.modules.get(name)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "") != source:
        del sys.modules[name]  # of another study's folder
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise RuntimeError(f"{source} cannot be imported: {type(error).__name__}: {error}") from error


def _check_digest(path: Path, digest: str, what: str) -> None:
    if file_digest(path, what, DATA_BYTES) != digest:
        raise ChangedError(f"{what}: {path} has changed since the study was read")
