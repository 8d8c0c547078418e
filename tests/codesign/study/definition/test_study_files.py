"""Networks and data that a study takes from files: known by their content, checked before they are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.study.definition import (
    study_from_dict,
)
from tests.codesign.study.definition.tables import QAT, small


def test_a_factory_and_an_archive_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def small():\n    raise AssertionError('is not run')\n")
    arrays = {"inputs": np.zeros((2, 1, 8, 8), np.float32), "labels": np.zeros(2, np.int64)}
    every = {f"{split}_{name}": array for split in ("train", "validation", "test") for name, array in arrays.items()}
    np.savez(tmp_path / "data.npz", **every)
    table = small(network={"factory": "nets:small"}, data={"file": "data.npz"}, training=QAT, objectives=["accuracy"])
    first = study_from_dict(table, tmp_path)
    (tmp_path / "nets.py").write_text("def small():\n    return 2\n")
    np.savez(tmp_path / "data.npz", **{**every, "train_labels": np.ones(2, np.int64)})
    second = study_from_dict(table, tmp_path)
    assert first.network.digest != second.network.digest and first.data is not None and second.data is not None
    assert first.data.digest != second.data.digest
    assert dataclasses.replace(second, network=first.network, data=first.data) == first
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=r"\[data\] file data.npz must hold train_inputs, .* to train with"):
        study_from_dict(table, tmp_path)
    np.savez(tmp_path / "data.npz", x=arrays["inputs"])
    with pytest.raises(ValueError, match=r"\[data\] file data.npz must hold the arrays .*, not x"):
        study_from_dict(table, tmp_path)
    (tmp_path / "data.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"data\.npz: is not an \.npz file, or it is damaged"):
        study_from_dict(table, tmp_path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"inputs": np.zeros((2, 9), np.int8)}, r"inputs must be floats, batch axis first, not int8 \(2, 9\)"),
        ({"inputs": np.float32(1)}, r"inputs must be floats, batch axis first, not float32 \(\)"),
        ({"labels": np.zeros(3, np.int64)}, r"labels must be one integer for each of 2 inputs, not int64 \(3,\)"),
        ({"labels": np.zeros((2, 1), np.int64)}, r"labels must be one integer .*, not int64 \(2, 1\)"),
        ({"labels": np.zeros(2)}, r"labels must be one integer for each of 2 inputs, not float64 \(2,\)"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_before_they_are_read(
    tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    arrays = {"inputs": np.zeros((2, 9), np.float32), "labels": np.zeros(2, np.int64)} | changed
    np.savez(tmp_path / "data.npz", **arrays)
    (tmp_path / "x.onnx").write_bytes(b"x")
    table = small(network={"file": "x.onnx"}, data={"file": "data.npz"}, objectives=["accuracy"])
    with pytest.raises(ValueError, match=rf"^\[data\] file data\.npz: {sentence}"):
        study_from_dict(table, tmp_path)


def test_all_inputs_have_one_shape(tmp_path: Path) -> None:
    shapes = {"train": (2, 1, 8, 8), "validation": (2, 64), "test": (2, 1, 8, 8)}
    arrays = {f"{split}_inputs": np.zeros(shape, np.float32) for split, shape in shapes.items()}
    np.savez(tmp_path / "data.npz", **arrays, **{f"{split}_labels": np.zeros(2, np.int64) for split in shapes})
    sentence = r"validation_inputs must have the shape of the others, \(1, 8, 8\), not \(64,\)"
    with pytest.raises(ValueError, match=sentence):
        study_from_dict(small(data={"file": "data.npz"}, training=QAT), tmp_path)
