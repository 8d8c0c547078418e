"""Reading .npz files that nobody vouches for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from codesign.inputs import read_npz, write_npz


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(file: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in members.items():
            target.writestr(f"{name}.npy", data)
    return file


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path: Path, save: object) -> None:
    arrays = {
        "a": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "b": np.asfortranarray(np.arange(6, dtype=np.int8).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 3), np.float64),
        "scalar": np.array(True),
    }
    save(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_reads_what_it_writes(tmp_path: Path) -> None:
    codes = np.arange(-3, 3, dtype=np.int8)
    write_npz(tmp_path / "y.npz", {"file": codes, "/head/Gemm:0": codes[:1]})
    found = read_npz(tmp_path / "y.npz")
    np.testing.assert_array_equal(found["file"], codes)
    np.testing.assert_array_equal(found["/head/Gemm:0"], codes[:1])
    with np.load(tmp_path / "y.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["file"], codes)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{"code": "runs"}], object))
    with pytest.raises(ValueError, match=r"x\.npz: array 'a': must hold numbers, not object"):
        read_npz(tmp_path / "x.npz")


def test_size_is_checked_in_the_directory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1 << 16))
    assert (tmp_path / "x.npz").stat().st_size < 4096
    with pytest.raises(ValueError, match="at most 65536 bytes together, not 524288"):
        read_npz(tmp_path / "x.npz", max_bytes=1 << 16)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (3,), (-1, -2)])
def test_a_header_that_claims_another_size(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = archive(tmp_path / "x.npz", a=header(shape) + bytes(8))
    with pytest.raises(ValueError, match="array 'a'"):
        read_npz(file)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"no array at all", header((2,))[:20]])
def test_a_member_that_is_no_array(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"array 'a': is not a \.npy array"):
        read_npz(archive(tmp_path / "x.npz", a=data))


def test_truncated_and_damaged_files(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez_compressed(file, a=np.random.default_rng(0).normal(size=500))
    data = file.read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 3):
        file.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"x\.npz"):
            read_npz(file)
    file.write_bytes(data[:1000] + bytes([data[1000] ^ 0xFF]) + data[1001:])
    with pytest.raises(ValueError, match=r"x\.npz"):
        read_npz(file)


def test_no_array_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no array"):
        read_npz(archive(tmp_path / "x.npz"))
    with pytest.raises(ValueError, match=r"absent\.npz: No such file"):
        read_npz(tmp_path / "absent.npz")
