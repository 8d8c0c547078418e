"""The metadata entry ``lockstep.arithmetic``: read strictly, compared with what the caller gives."""

from __future__ import annotations

import json

import pytest

from compiler import ModelError, load_onnx
from emulator import Arithmetic
from tests.compiler.models import small_network

NARROW = Arithmetic(accumulator_bits=20, overflow="wrap", rounding="floor")


def saved(tmp_path, text: str | None):
    model = small_network()
    if text is not None:
        model.metadata["lockstep.arithmetic"] = text
    return model.save(tmp_path)


def test_file_given_or_default(tmp_path):
    path = saved(tmp_path, None)
    assert load_onnx(path).arithmetic == Arithmetic()
    assert load_onnx(path, NARROW).arithmetic == NARROW
    path = saved(tmp_path, json.dumps(NARROW.as_dict()))
    assert load_onnx(path).arithmetic == NARROW
    assert load_onnx(path, NARROW).arithmetic == NARROW
    assert load_onnx(path, override=True).arithmetic == NARROW


def test_conflict_unless_overridden(tmp_path):
    path = saved(tmp_path, json.dumps(NARROW.as_dict()))
    given = Arithmetic(accumulator_bits=24, overflow="wrap", rounding="floor")
    text = r"metadata lockstep.arithmetic has accumulator_bits 20 \(given: 24\); override=True \(--override\) takes"
    with pytest.raises(ModelError, match=text):
        load_onnx(path, given)
    assert load_onnx(path, given, override=True).arithmetic == given


def test_not_an_arithmetic(tmp_path):
    with pytest.raises(TypeError, match="arithmetic must be an Arithmetic or None, not 'wide'"):
        load_onnx(saved(tmp_path, None), "wide")


@pytest.mark.parametrize(("text", "reason"), [
    ("", "must be JSON"),
    ("{", "must be JSON"),
    ("[" * 1000, "must be JSON"),
    (" " * 5000, "must have at most 1024 characters, not 5000"),
    ("[1]", "must be an object, not '[1]'"),
    ("{}", "must be an object of accumulator_bits, "),
    (json.dumps(NARROW.as_dict() | {"extra": 1}), "must be an object of accumulator_bits, "),
    (json.dumps(NARROW.as_dict() | {"accumulator_bits": 99}), "accumulator_bits must be an integer from 8 to 48,"),
    (json.dumps(NARROW.as_dict() | {"accumulator_bits": True}), "accumulator_bits must be an integer from 8 to 48,"),
    (json.dumps(NARROW.as_dict() | {"accumulator_bits": 20.0}), "accumulator_bits must be an integer from 8 to 48,"),
    (json.dumps(NARROW.as_dict() | {"rounding": "up"}), "rounding must be one of half_even"),
    (json.dumps(NARROW.as_dict() | {"rounding": ["floor"]}), "rounding must be one of half_even"),
    (json.dumps(NARROW.as_dict())[:-1] + ', "rounding": "floor"}', "gives 'rounding' twice"),
    (json.dumps(NARROW.as_dict()).replace("20", "9" * 700), "accumulator_bits must be an integer"),
    (json.dumps(NARROW.as_dict()).replace("20", "NaN"), "accumulator_bits must be an integer"),
])  # fmt: skip
def test_malformed_entries(text, reason, tmp_path):
    path = saved(tmp_path, text)
    with pytest.raises(ModelError) as caught:
        load_onnx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: metadata lockstep.arithmetic") and reason in message
    assert "\n" not in message and len(message) < 1000
