"""Arrays from and to .npz files: a file can neither run code nor claim more memory than what is asked of it needs."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..files import replacing
from .npy_header import NpyHeader, read_header

MAX_BYTES = 1 << 31
"""Most bytes that are read of all arrays of a file together."""
MAX_MEMBERS = 4096
CHUNK = 1 << 20
"""Bytes that are read at once of what is not kept."""


@dataclass(frozen=True, eq=False)
class Archive:
    """An open .npz file.

    headers : {name: `NpyHeader`} of its arrays, at least one
    """

    file: Path
    headers: Mapping[str, NpyHeader]
    _archive: zipfile.ZipFile
    _members: Mapping[str, zipfile.ZipInfo]

    def where(self, name: str) -> str:
        """How errors call an array."""
        return f"{self.file}: array {name!r}"

    def read(self, samples: int | None = None, max_bytes: int = MAX_BYTES) -> dict[str, NDArray[Any]]:
        """{name: array}: all arrays whole (None), or the first `samples` along their first axes.

        What lies behind the last sample that is asked for is not unpacked. Raises ``ValueError`` naming the array for
        data that is damaged or shorter than its header says, and the file for more than `max_bytes` of all arrays.
        """
        kept = {name: _first(header, samples) for name, header in self.headers.items()}
        total = sum(header.nbytes for header in kept.values())
        if total > max_bytes:
            raise ValueError(f"{self.file}: the arrays must have at most {max_bytes} bytes together, not {total}")
        arrays = {}
        for name, header in self.headers.items():
            with _damage(self.where(name)), self._archive.open(self._members[name]) as stream:
                arrays[name] = _read_array(stream, header, kept[name], self.where(name))
        return arrays


@contextmanager
def open_npz(path: str | PathLike[str], content: bytes | None = None) -> Iterator[Archive]:
    """The .npz file `path`, of whose arrays only the headers have been read.

    content : the file's bytes where they are in memory; `path` is then only what errors call them

    Raises ``ValueError``, one sentence with the file, and with the array where there is one, for all that is no such
    file, is damaged or compressed in another way than NumPy does, or whose headers do not fit the archive's directory.
    """
    file = Path(path)
    with _damage(str(file)):
        archive = zipfile.ZipFile(file if content is None else io.BytesIO(content))
    size = file.stat().st_size if content is None else len(content)
    with archive:
        members: dict[str, zipfile.ZipInfo] = {}
        headers: dict[str, NpyHeader] = {}
        listed = archive.infolist()
        if not listed:
            raise ValueError(f"{file}: holds no array")
        if len(listed) > MAX_MEMBERS:
            raise ValueError(f"{file}: must hold at most {MAX_MEMBERS} arrays, not {len(listed)}")
        for member in listed:
            name = member.filename.removesuffix(".npy")
            if name == member.filename or name in members:
                raise ValueError(f"{file}: {member.filename!r} must be the one .npy array of its name")
            where = f"{file}: array {name!r}"
            # The others unpack as much as they like at once.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{where}: must be stored or deflated, as np.savez and np.savez_compressed do it")
            if member.file_size > _most_bytes(member, size):
                raise ValueError(f"{where}: cannot have {member.file_size} bytes, as the archive's directory claims")
            with _damage(where), archive.open(member) as stream:
                header = read_header(stream, where)
            held = member.file_size - header.offset
            if header.nbytes != held:
                raise ValueError(f"{where}: its header asks for {header.nbytes} bytes, the archive has {held}")
            members[name], headers[name] = member, header
        yield Archive(file, headers, archive, members)


def read_npz(
    path: str | PathLike[str], samples: int | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """{name: array} of an .npz file, whole or the first `samples`; raises what `open_npz` and `Archive.read` raise."""
    with open_npz(path) as archive:
        return archive.read(samples, max_bytes)


@contextmanager
def _damage(where: str) -> Iterator[None]:
    """What zipfile and zlib raise for a damaged file is a ``ValueError`` that names it."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{where}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: is not an .npz file, or it is damaged: {error}") from None


def _most_bytes(member: zipfile.ZipInfo, size: int) -> int:
    """Bytes that a member may have, unpacked, in an archive of `size` bytes; deflate expands at most 1032 times."""
    packed = min(member.compress_size, size)
    return packed if member.compress_type == zipfile.ZIP_STORED else 1032 * packed + CHUNK


def _first(header: NpyHeader, samples: int | None) -> NpyHeader:
    """The header of the first `samples`; of a scalar, which has no batch axis, its own."""
    if samples is None or not header.shape:
        return header
    shape = (min(samples, header.shape[0]), *header.shape[1:])
    return NpyHeader(shape, header.dtype, header.fortran_order, header.offset)


def _read_array(stream: IO[bytes], header: NpyHeader, kept: NpyHeader, where: str) -> NDArray[Any]:
    """The part `kept` of the array of `header`, whose file `stream` is."""
    _skip(stream, header.offset, where)
    data = np.empty(kept.nbytes, np.uint8)
    if header.shape == kept.shape:
        _fill(stream, data, where)
        stream.read(1)  # at its end the checksum is compared
    elif not header.fortran_order:
        _fill(stream, data, where)
    elif data.size:
        # The batch axis is the fastest: the first samples are the beginning of every column.
        column, wanted = (part.shape[0] * part.dtype.itemsize for part in (header, kept))
        columns = data.reshape(-1, wanted)
        if column > CHUNK:
            for target in columns:
                _fill(stream, target, where)
                _skip(stream, column - wanted, where)
        else:
            block = np.empty((CHUNK // column, column), np.uint8)
            for at in range(0, len(columns), len(block)):
                whole = block[: len(columns) - at]
                _fill(stream, whole.reshape(-1), where)
                columns[at : at + len(block)] = whole[:, :wanted]
    return data.view(header.dtype).reshape(kept.shape, order="F" if header.fortran_order else "C")


def _fill(stream: IO[bytes], target: NDArray[np.uint8], where: str) -> None:
    for at in range(0, len(target), CHUNK):
        part = target[at : at + CHUNK]
        data = stream.read(len(part))
        if len(data) != len(part):
            raise ValueError(f"{where}: is truncated")
        part[:] = np.frombuffer(data, np.uint8)


def _skip(stream: IO[bytes], size: int, where: str) -> None:
    for at in range(0, size, CHUNK):
        step = min(CHUNK, size - at)
        if len(stream.read(step)) != step:
            raise ValueError(f"{where}: is truncated")


def write_npz(path: str | PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write {name: array} as a compressed .npz file, as a whole or not at all."""
    # Not np.savez: its arguments' own names, `file` for one, would not do as names of arrays.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=array.nbytes > 1 << 30) as stream:
                npy.write_array(stream, array, allow_pickle=False)
