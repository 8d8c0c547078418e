"""Inputs out of .npz files: headers are checked against the model, and only what is needed is read."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from codesign.inputs import InputType, graph_codes, model_inputs, read_inputs, read_npz
from codesign.inputs.archive import CHUNK
from compiler import load_onnx
from tests.codesign.command import fails, runs
from tests.codesign.inputs.test_npz import archive, header
from tests.codesign.models import SHAPE, small_inputs, small_model

IMAGE = (InputType("image", (3, 4)),)
TWO = (*IMAGE, InputType("mask", (2,)))


def bomb(file: Path, head: bytes, size: int) -> Path:
    """An archive of one deflated array ``a``: `head` and `size` zeros, written without ever having them in memory."""
    block = bytes(CHUNK)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    data = first + zeros * (size // CHUNK) + zlib.compress(b"", wbits=-15)
    name, whole = b"a.npy", len(head) + size
    shared = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), whole, len(name), 0)
    local = b"PK\x03\x04" + shared + name
    central = b"PK\x01\x02" + struct.pack("<H", 20) + shared + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(data), 0)
    file.write_bytes(local + data + central + end)
    return file


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 5), (CHUNK // 4, 3), (0, 3)])
def test_the_first_samples(tmp_path: Path, order: str, save: object, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(1).normal(size=shape), np.float32, order=order)
    save(tmp_path / "x.npz", a=array, scalar=np.float32(2))
    for samples in (1, 2, 7, 9, None):
        found = read_npz(tmp_path / "x.npz", samples)
        np.testing.assert_array_equal(found["a"], array[:samples])
        assert found["scalar"] == 2


def test_columns_longer_than_a_chunk(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(3 * CHUNK, dtype=np.int32).reshape(3, CHUNK).T)
    np.savez(tmp_path / "x.npz", a=array)
    np.testing.assert_array_equal(read_npz(tmp_path / "x.npz", 2)["a"], array[:2])


def test_two_samples_of_an_array_of_two_gibibytes(tmp_path: Path) -> None:
    shape = ((1 << 31) // (224 * 224 * 4), 1, 224, 224)
    size = int(np.prod(shape)) * 4
    padding = -size % CHUNK  # whole chunks are written; a second, larger array is what the header says
    file = bomb(tmp_path / "x.npz", header((size + padding >> 2, 1)), size + padding)
    assert file.stat().st_size < 1 << 22
    tracemalloc.start()
    try:
        array = read_npz(file, 50_000)["a"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert array.shape == (50_000, 1) and not array.any()
    assert peak < 4 * CHUNK + 2 * array.nbytes
    with pytest.raises(ValueError, match=r"x\.npz: the arrays must have at most 1048576 bytes together"):
        read_npz(file, max_bytes=CHUNK)


def test_a_directory_that_claims_more_than_deflate_can(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.npz", a=header((1 << 28,)) + bytes(64))
    data = file.read_bytes()
    told, claimed = (struct.pack("<I", len(header((1 << 28,))) + size) for size in (64, 1 << 30))
    assert data.count(told) == 2
    file.write_bytes(data.replace(told, claimed))
    with pytest.raises(ValueError, match=r"x\.npz: array 'a': cannot have \d+ bytes"):
        read_npz(file, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4)}", "no array can have"),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(1,) * 33}}}", "at most 32 axes, not 33"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2)}", "a tuple of integers, not (True, 2)"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", "a tuple of integers, not [2]"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "fortran_order must be True or False, not 0"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "must hold numbers, not object"),
        ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}", "must hold numbers, not datetime64[s]"),
        ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", "must hold numbers, not [('x', '<f4')]"),
        ("{'descr': 'f' * 9, 'fortran_order': False, 'shape': (1,)}", "does not say type, order and shape"),
        ("{'descr': '<f4', 'shape': (1,)}", "does not say type, order and shape"),
        ("(" * 9000, "does not say type, order and shape"),
        ("{" + " " * (1 << 15) + "}", "at most 16384 bytes"),
    ],
)
def test_headers_that_lie(tmp_path: Path, text: str, reason: str) -> None:
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode()
    with pytest.raises(ValueError) as error:
        read_npz(archive(tmp_path / "x.npz", a=head))
    assert str(error.value).startswith(f"{tmp_path / 'x.npz'}: array 'a': ") and reason in str(error.value)


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", kind) as target:
            target.writestr("a.npy", header((2,)) + bytes(8))
        with pytest.raises(ValueError, match=r"x\.npz: array 'a': must be stored or deflated"):
            read_npz(tmp_path / "x.npz")


def test_one_array_serves_a_model_with_one_input(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", array)
    np.testing.assert_array_equal(read_inputs(IMAGE, tmp_path / "x.npz", 2)["image"], array[:2])
    with pytest.raises(ValueError, match=r"x\.npz: inputs must be named 'image', 'mask', not 'arr_0'"):
        read_inputs(TWO, tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", image=array, mask=np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match=r"x\.npz: the inputs must have one batch size, not \{'image': 5, 'mask': 4\}"):
        read_inputs(TWO, tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", image=array)
    with pytest.raises(ValueError, match=r"x\.npz: inputs must have 'mask', not only 'image'"):
        read_inputs(TWO, tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", array[:, :2])
    with pytest.raises(ValueError, match=r"array 'arr_0', for the input 'image', must have shape \(batch, 3, 4\)"):
        read_inputs(IMAGE, tmp_path / "x.npz")


def test_codes_of_both_signs(tmp_path: Path) -> None:
    codes = np.array([[0, 1, 127], [128, 129, 255]], np.uint8)
    np.savez(tmp_path / "x.npz", x=codes)
    unsigned = (InputType("x", (3,), integers=("uint8",)),)
    found = read_inputs(unsigned, tmp_path / "x.npz")["x"]
    np.testing.assert_array_equal(found, codes, strict=True)
    with pytest.raises(TypeError, match=r"array 'x' must be an array of floats or of int8 codes, not uint8"):
        read_inputs((InputType("x", (3,)),), tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=codes.view(np.int8))
    with pytest.raises(TypeError, match=r"array 'x' must be an array of floats or of uint8 codes, not int8"):
        read_inputs(unsigned, tmp_path / "x.npz")


def test_a_shape_is_refused_before_the_data_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    array = np.full((99, *SHAPE[:2], 5), 0.5, np.float32)
    file = small_inputs(tmp_path, input=array)
    file.write_bytes(file.read_bytes().replace(array.tobytes(), array.tobytes()[:-1] + b"\x40"))
    with pytest.raises(ValueError, match="damaged"):  # whoever reads it all notices
        read_npz(file)
    fails(capsys, ["run", small_model(tmp_path), "--inputs", file], str(file), "'input'", "(batch, 2, 6, 6)")


def test_run_takes_one_array_of_any_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path)
    array = np.random.default_rng(3).normal(size=(4, *SHAPE)).astype(np.float32)
    named = runs(capsys, ["run", model, "--inputs", small_inputs(tmp_path, input=array), "--samples", 3])
    other = runs(capsys, ["run", model, "--inputs", small_inputs(tmp_path, other=array), "--samples", 3])
    assert named["samples"] == 3 and named["outputs"] == other["outputs"]


def test_many_floats_are_quantized_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = load_onnx(small_model(tmp_path))
    array = np.random.default_rng(0).normal(size=(700, *SHAPE)).astype(np.float32)
    whole = graph_codes(graph, {"input": array})["input"]
    monkeypatch.setattr(model_inputs, "PART_BYTES", 100_000)
    tracemalloc.start()
    try:
        parts = graph_codes(graph, {"input": array})["input"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(parts, whole, strict=True)
    assert peak < 3 * whole.nbytes + 6 * 100_000 < 2 * array.nbytes + 6 * 100_000


def test_damaged_archives(tmp_path: Path) -> None:
    """Whatever happens to the bytes of a file: its arrays, or one sentence that names it."""
    rng = np.random.default_rng(9)
    file, whole = tmp_path / "x.npz", tmp_path / "whole.npz"
    arrays = {"a": rng.normal(size=(6, 20)).astype(np.float32), "b": np.asfortranarray(rng.integers(0, 9, (5, 12)))}
    refused = 0
    for save in (np.savez, np.savez_compressed):
        save(whole, **arrays)
        data = np.frombuffer(whole.read_bytes(), np.uint8)
        for _ in range(400):
            changed = data.copy()
            places = rng.integers(0, len(data), int(rng.choice([1, 1, 2, 8])))
            changed[places] = rng.choice([0, 1, 127, 128, 255], len(places))
            file.write_bytes(
                changed.tobytes()[: int(rng.choice([len(data), rng.integers(1, len(data))], p=[0.9, 0.1]))]
            )
            for samples in (None, 2):
                try:
                    read_npz(file, samples)
                except ValueError as error:
                    refused += 1
                    assert str(error).startswith(str(file)) and "\n" not in str(error)
    assert refused > 800
