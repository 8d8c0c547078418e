"""``[network]`` and ``[data]``: built in, made by a function of the user's own, or a file."""

from __future__ import annotations

import hashlib
import importlib.machinery
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .study import Data, Network
from .tables import check_keys, text

KINDS = ("builtin", "factory", "file")
NETWORK_BYTES = 1 << 31
"""Most of a model file: a protocol buffer cannot have more."""
DATA_BYTES = 1 << 33
"""Most of a data file, packed or not."""
SPLITS = ("train", "validation", "test")
ARRAYS = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("inputs", "labels"))
FINISHED = ("inputs", "labels")
"""Arrays of an .npz file that only measures a finished network."""


class Described(Protocol):
    """An array, or the head of one in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it holds."""
        ...


class ChangedError(RuntimeError):
    """A file that is not what it was when the study was read."""


def read_networks(table: object, data: Data | None, folder: Path) -> tuple[Network, ...]:
    """Of ``[network]``, one or, of lists and of `GROUPS`, several; None: the network of a built-in data set.

    Raises ``ValueError`` for an unknown name, one that is there twice, and for a file or a factory's module that is not
    there.
    """
    from ...networks import GROUPS

    if table is None:
        if data is None or data.kind != "builtin":
            raise ValueError("[network] must say which network: builtin, factory or file")
        return (Network("factory", data.name),)
    kind, value = _origin(table, "[network]")
    if kind == "builtin" and isinstance(value, str):
        value = GROUPS.get(value, value)
    several = isinstance(value, list | tuple)
    if several and kind == "factory":
        raise ValueError("[network] factory must be one, not a list; several networks are built-in ones or files")
    names = value if several else [value]
    if not names:
        raise ValueError(f"[network] {kind} must name at least one network, not none")
    found = tuple(_network(kind, text(name, f"[network] {kind}"), folder) for name in names)
    for network in found:
        if found.count(network) > 1:
            raise ValueError(f"[network] {kind} must name different networks, not {network.name!r} twice")
        if several and network.kind != kind:
            raise ValueError(f"[network] {kind}: {network.name} is trained, which only a network alone can be")
    return found


def _network(kind: str, name: str, folder: Path) -> Network:
    from ...networks import GROUPS, NETWORKS

    if kind == "builtin":
        own = _data_sets()
        if name not in (*NETWORKS, *own):
            known = ", ".join((*NETWORKS, *GROUPS, *own))
            raise ValueError(f"[network] builtin must be one of {known}, not {name!r}")
        return Network("builtin" if name in NETWORKS else "factory", name)
    return Network(kind, name, _digest(kind, name, folder, "[network]", NETWORK_BYTES))


def read_data(table: object, folder: Path) -> Data:
    """Of ``[data]``; ``ValueError`` as for `read_network`."""
    kind, value = _origin(table, "[data]")
    name = text(value, f"[data] {kind}")
    if kind == "builtin":
        known = _data_sets()
        if name not in known:
            raise ValueError(f"[data] builtin must be one of {', '.join(known)}, not {name!r}")
        return Data(kind, name)
    digest = _digest(kind, name, folder, "[data]", DATA_BYTES)
    if kind == "file":
        held = data_arrays(folder / name)
        if set(held) not in (set(ARRAYS), set(FINISHED)):
            raise ValueError(
                f"[data] file {name} must hold the arrays {', '.join(ARRAYS)}, or for a finished network "
                f"{' and '.join(FINISHED)}, not {', '.join(sorted(held))}"
            )
        check_arrays(held, f"[data] file {name}")
    return Data(kind, name, digest)


def data_arrays(path: Path) -> Mapping[str, Described]:
    """Name → head of each array of an .npz file; ``ValueError`` where it is none."""
    from ...inputs import open_npz

    with open_npz(path) as archive:
        return archive.headers


def check_arrays(arrays: Mapping[str, Described], where: str) -> None:
    """Raise ``ValueError`` unless each ``…inputs`` are floats, of one shape, and each has an integer in ``…labels``."""
    first: tuple[int, ...] | None = None
    for name in sorted(name for name in arrays if name.endswith("inputs")):
        inputs, of_labels = arrays[name], f"{name.removesuffix('inputs')}labels"
        labels = arrays[of_labels]
        if inputs.dtype.kind != "f" or not inputs.shape:
            raise ValueError(f"{where}: {name} must be floats, batch axis first, not {inputs.dtype} {inputs.shape}")
        if labels.dtype.kind not in "iu" or labels.shape != inputs.shape[:1]:
            raise ValueError(
                f"{where}: {of_labels} must be one integer for each of {inputs.shape[0]} inputs, "
                f"not {labels.dtype} {labels.shape}"
            )
        first = inputs.shape[1:] if first is None else first
        if inputs.shape[1:] != first:
            raise ValueError(f"{where}: {name} must have the shape of the others, {first}, not {inputs.shape[1:]}")


def _data_sets() -> tuple[str, ...]:
    from ...datasets.builtin import BUILTIN  # scikit-learn, which takes a second

    return tuple(BUILTIN)


def _origin(table: object, where: str) -> tuple[str, object]:
    found = check_keys(table, KINDS, where)
    if len(found) != 1:
        raise ValueError(f"{where} must have exactly one of {', '.join(KINDS)}, not {', '.join(found) or 'none'}")
    (only,) = found.items()
    return only


def _digest(kind: str, name: str, folder: Path, where: str, limit: int) -> str:
    """SHA-256 of the file, or of the factory's module's source."""
    if kind == "file":
        return file_digest(folder / name, f"{where} file", limit)
    return file_digest(factory_source(name, folder, where), f"{where} factory", limit)


def file_digest(path: Path, what: str, limit: int) -> str:
    """SHA-256 in hexadecimal of a file; ``ValueError`` where it cannot be read or has more than `limit` bytes."""
    try:
        if path.stat().st_size > limit:
            raise ValueError(f"{what} {path} must have at most {limit} bytes, not {path.stat().st_size}")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{what} {path}: {error.strerror}") from None


def factory_source(name: str, folder: Path, where: str) -> Path:
    """The file of the module of ``module:function``, found without importing it, `folder` first."""
    module, separator, function = name.partition(":")
    if not separator or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"{where} factory must be module:function, not {name!r}")
    path: list[str] | None = [str(folder), *sys.path]
    spec = None
    for part in module.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, path)
        path = list(spec.submodule_search_locations or ()) if spec is not None else []
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ValueError(f"{where} factory {name!r}: there is no module {module} in {folder} or on Python's path")
    return Path(spec.origin)


def paths_of(table: Mapping[str, object], key: str, folder: Path, where: str) -> Path | None:
    """A file that a study names, relative to its folder; ``ValueError`` where it is not there."""
    if key not in table:
        return None
    path = folder / text(table[key], f"{where} {key}")
    if not path.is_file():
        raise ValueError(f"{where} {key}: {path} is no file")
    return path
