"""Arrays from and to .npz files; a file from elsewhere cannot run code or claim more memory than it may have."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .files import replacing

MAX_BYTES = 1 << 31
"""Most bytes of all arrays of a file together."""


def read_npz(path: str | PathLike[str], max_bytes: int = MAX_BYTES) -> dict[str, NDArray[Any]]:
    """{name: array} of an .npz file.

    Sizes are checked in the archive's directory and in each array's header before anything is allocated; pickled
    objects are refused. Raises ``ValueError`` naming the file, and the array where there is one.
    """
    file = Path(path)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > max_bytes:
                raise ValueError(f"{file}: the arrays must have at most {max_bytes} bytes together, not {total}")
            arrays: dict[str, NDArray[Any]] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name == member.filename or name in arrays:
                    raise ValueError(f"{file}: {member.filename!r} must be the one .npy array of its name")
                with archive.open(member) as stream:
                    arrays[name] = _read_array(stream, member.file_size, f"{file}: array {name!r}")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{file}: is not an .npz file, or it is damaged: {error}") from None
    if not arrays:
        raise ValueError(f"{file}: holds no array")
    return arrays


def _read_array(stream: IO[bytes], size: int, where: str) -> NDArray[Any]:
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read_header(stream)
    except (ValueError, KeyError):
        raise ValueError(f"{where}: is not a .npy array") from None
    if dtype.kind not in "biuf":
        raise ValueError(f"{where}: must hold numbers, not {dtype}")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if min(shape, default=0) < 0 or needed != held:
        raise ValueError(f"{where}: its header asks for {needed} bytes, the archive has {held}")
    data = stream.read()
    if len(data) != needed:
        raise ValueError(f"{where}: is truncated")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def write_npz(path: str | PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write {name: array} as a compressed .npz file, as a whole or not at all."""
    # Not np.savez: its arguments' own names, `file` for one, would not do as names of arrays.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as stream:
                npy.write_array(stream, array, allow_pickle=False)
