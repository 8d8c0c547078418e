"""What goes into a graph of a TFLite file and what comes out: uint8, floats, softmax, named tensors, batches."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from compiler import ModelError, load_model
from emulator import Arithmetic, run_graph
from tests.compiler.models import small_network
from tests.compiler.tflite.net import Net, check_tflm, graph, refusal

PROBABILITY = 1 / 256, -128


def small(seed: int = 0) -> Net:
    """A convolution and a matrix product."""
    net = Net(seed)
    x = net.input((1, 4, 5, 3))
    w, scale = net.weights((4, 3, 3, 3), 0)
    y = net.add("CONV_2D", [x, w, net.bias(4, x, scale)], (1, 4, 5, 4), StrideH=1, StrideW=1, FusedActivationFunction=1)
    w, scale = net.weights((6, 80), None)
    net.add("FULLY_CONNECTED", [y, w, net.bias(6, y, scale)], (1, 6))
    return net


def test_either_format_by_content(tmp_path: Path) -> None:
    for name in ("net.tflite", "net.onnx", "net"):
        (tmp_path / name).write_bytes(small().file())
        assert load_model(tmp_path / name).nodes[-1].shape == (6,)
    path = small_network().save(tmp_path)
    assert load_model(path).nodes
    foreign = tmp_path / "net.tflite"
    for data, text in (
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is neither an ONNX model nor a TFLite file"),
        (b"PK\x03\x04", "is neither an ONNX model nor a TFLite file"),
        (b"", "is empty"),
        (b"\x1c\x00\x00\x00TFL3", "lies outside the file, which is damaged"),
    ):
        foreign.write_bytes(data)
        with pytest.raises(ModelError, match=text):
            load_model(foreign)
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        load_model(tmp_path / "absent")


def test_softmax_and_batch(tmp_path: Path) -> None:
    net = small()
    net.add("SOFTMAX", ["y1"], (1, 6), PROBABILITY, Beta=1.0)
    read = check_tflm(net, tmp_path)
    assert read.outputs == {"y1": "y1"} and read.tail is not None and read.tail.outputs == ("y2",)
    codes = net.codes(5)
    whole = run_graph(read, codes)["y2"]
    assert whole.shape == (5, 6)
    assert_array_equal(whole[3:4], run_graph(read, {"x0": codes["x0"][3:4]})["y2"])


def test_softmax_beside_its_input(tmp_path: Path) -> None:
    net = small()
    net.add("SOFTMAX", ["y1"], (1, 6), PROBABILITY, Beta=2.0)
    check_tflm(net, tmp_path, "y2", "y1")


def test_a_file_with_a_batch_of_its_own(tmp_path: Path) -> None:
    """Any number of samples in the graph; whole batches in TFLM."""
    net = Net(5)
    x = net.input((3, 6, 6, 4))
    w, scale = net.weights((5, 3, 3, 4), 0)
    y = net.add("CONV_2D", [x, w, net.bias(5, x, scale)], (3, 6, 6, 5), StrideH=1, StrideW=1)
    y = net.add("RESHAPE", [y, net.integers(3, 180)], (3, 180), y)
    w, scale = net.weights((7, 180), None)
    y = net.add("FULLY_CONNECTED", [y, w, net.bias(7, y, scale)], (3, 7))
    net.add("SOFTMAX", [y], (3, 7), PROBABILITY, Beta=1.0)
    read = check_tflm(net, tmp_path, count=6)
    codes = net.codes(5)
    assert_array_equal(run_graph(read, codes)["y3"][4], run_graph(read, {"x0": codes["x0"][4:]})["y3"][0])
    net.add("RESHAPE", [y, net.integers(21)], (21,), y)
    assert "must keep the batch of 3 as its first axis" in refusal(net, tmp_path)


def test_arg_max(tmp_path: Path) -> None:
    net = small()
    net.add("ARG_MAX", ["y0", net.integers(3)], (1, 4, 5), type="int32", OutputType=2)
    read = graph(net, tmp_path, Arithmetic.tflm())
    codes = net.codes()
    found = run_graph(read, codes)["y2"]
    assert found.dtype == np.int32
    assert_array_equal(found, run_graph(read, codes, every=True)["y0"].argmax(-1))
    check_tflm(net, tmp_path)


def test_uint8_at_the_ends(tmp_path: Path) -> None:
    """A converter's inference_input_type=uint8: QUANTIZE of the same numbers at both ends."""
    net = Net(1)
    x = net.input((1, 10), (0.05, 140), type="uint8")
    y = net.add("QUANTIZE", [x], (1, 10), (0.05, 12))
    w, scale = net.weights((6, 10), None)
    y = net.add("FULLY_CONNECTED", [y, w, net.bias(6, y, scale)], (1, 6), (0.1, -3))
    net.add("QUANTIZE", [y], (1, 6), (0.1, 125), type="uint8")
    read = check_tflm(net, tmp_path)
    assert read.metadata["unsigned_inputs"] == ["x0"] and [node.name for node in read.nodes] == ["y1"]
    codes = net.codes()["x0"]
    outputs = run_graph(read, {"x0": codes})["y2"]
    assert outputs.dtype == np.uint8
    real = (codes.astype(np.float32) - 140) * np.float32(0.05)
    assert_array_equal(run_graph(read, {"x0": real})["y2"], outputs)
    assert_array_equal(run_graph(read, {"x0": (codes ^ 0x80).view(np.int8)})["y2"], outputs)


def test_floats_at_the_ends(tmp_path: Path) -> None:
    """float32 in and out; TFLM rounds ties away from zero, the contract to even."""
    net = Net(2)
    x = net.input((1, 8), type="float32")
    y = net.add("QUANTIZE", [x], (1, 8), (0.5, 3))
    w, scale = net.weights((6, 8), None)
    y = net.add("FULLY_CONNECTED", [y, w, net.bias(6, y, scale)], (1, 6), (0.1, -3))
    net.add("DEQUANTIZE", [y], (1, 6), type="float32")
    from codesign.peers.tflm import run_tflm

    ties = np.arange(-8, 8, dtype=np.float32).reshape(2, 8) / 4
    inputs = {"x0": np.concatenate([ties, net.rng.normal(0, 20, (20, 8)).astype(np.float32)])}
    read = graph(net, tmp_path, Arithmetic.tflm())
    expected = run_tflm(tmp_path / "net.tflite", inputs)["y2"]
    found = run_graph(read, inputs)["y2"]
    assert found.dtype == np.float32
    assert_array_equal(found, expected)
    default = graph(net, tmp_path)
    assert default.head is None
    codes = np.clip(np.rint(inputs["x0"] / np.float32(0.5)) + 3, -128, 127).astype(np.int8)
    assert_array_equal(run_graph(default, inputs)["y2"], run_graph(default, {"x0": codes})["y2"])


def test_named_outputs(tmp_path: Path) -> None:
    net = small()
    net.add("SVDF", ["y1"], (1, 6))
    path = net.save(tmp_path)
    with pytest.raises(ModelError, match=re.escape("operator 2 (SVDF, makes 'y2'): is not read; train")):
        load_model(path)
    read = load_model(path, outputs=["y1", "y0"])
    assert list(read.outputs) == ["y1", "y0"] and len(read.nodes) == 3
    assert len(load_model(path, outputs=["y0"]).nodes) == 1
    with pytest.raises(ModelError, match="outputs must be names of its tensors, not 'nowhere'"):
        load_model(path, outputs=["nowhere"])
    for wrong, said in (("y0", "a sequence of names, not the text 'y0'"), (3, "or None, not 3"), ([3], r"not \[3\]")):
        with pytest.raises(TypeError, match=said):
            load_model(path, outputs=wrong)


def test_stored_arithmetic(tmp_path: Path) -> None:
    net = small()
    net.metadata["lockstep.arithmetic"] = json.dumps(Arithmetic.tflm().as_dict()).encode()
    path = net.save(tmp_path)
    assert load_model(path).arithmetic == Arithmetic.tflm()
    assert load_model(path, Arithmetic(), override=True).arithmetic == Arithmetic()
    with pytest.raises(ModelError, match="override=True"):
        load_model(path, Arithmetic())
    net.metadata["lockstep.arithmetic"] = b"{"
    assert "must be JSON" in refusal(net, tmp_path)


def test_all_refusals_at_once(tmp_path: Path) -> None:
    net = small()
    y = net.add("PRELU", ["y0", net.constant(np.zeros(4, np.int8), 0.1)], (1, 4, 5, 4))
    z = net.add("UNIDIRECTIONAL_SEQUENCE_LSTM", [y], (1, 4, 5, 4))
    net.add("ADD", [z, "y0"], (1, 4, 5, 4))
    net.add("RELU", ["y1"], (1, 7))
    message = refusal(net, tmp_path, None, "y4", "y5")
    assert message.count("; ") >= 2 and "operator 4" not in message
    assert "operator 2 (PRELU, makes 'y2'): is not read; train with LEAKY_RELU" in message
    assert "operator 3 (UNIDIRECTIONAL_SEQUENCE_LSTM, makes 'y3'): is not read; unroll" in message
    assert "operator 5 (RELU, makes 'y5'): the file gives tensor 'y5' the shape (1, 7)" in message


def test_a_float_island_is_named(tmp_path: Path) -> None:
    net = small()
    y = net.add("DEQUANTIZE", ["y1"], (1, 6), type="float32")
    y = net.add("LOGISTIC", [y], (1, 6), type="float32")
    message = refusal(net, tmp_path)
    assert message.startswith(
        "operator 3 (LOGISTIC, makes 'y3'): reads what the host computes in operator 2 (DEQUANTIZE"
    )
    assert "quantize the operators between, or cut with outputs=" in message


def test_a_model_that_is_not_quantized(tmp_path: Path) -> None:
    net = Net(0)
    x = net.input((1, 8), type="float32")
    net.add("RELU", [x], (1, 8), type="float32")
    assert "convert with full integer quantization" in refusal(net, tmp_path)


def test_old_uint8_weights_have_zero_points(tmp_path: Path) -> None:
    """Coral's models: uint8 throughout, weights of any zero point."""
    net = Net(3)
    x = net.input((1, 5, 5, 3), (0.02, 117), type="uint8")
    values = net.rng.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    w = net.constant(values, 0.01, 131)
    b = net.constant(net.rng.integers(-2000, 2000, 4).astype(np.int32), 0.0002)
    net.add("CONV_2D", [x, w, b], (1, 3, 3, 4), (0.05, 100), type="uint8", Padding=1, StrideH=1, StrideW=1)
    read = graph(net, tmp_path)
    codes = net.codes()["x0"]
    acc = np.zeros((4, 3, 3, 4), np.int64) + net[b].data
    for row in range(3):
        for column in range(3):
            window = codes[:, row : row + 3, column : column + 3].astype(np.int64) - 117
            acc += window @ (values[:, row, column].astype(np.int64) - 131).T
    scale = float(np.float32(0.02)) * float(np.float32(0.01)) / float(np.float32(0.05))
    expected = np.clip(np.rint(acc * scale) + 100, 0, 255)
    found = run_graph(read, {"x0": codes})["y0"]
    assert found.dtype == np.uint8
    assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 1), (4, 4)])
def test_average_pool_of_uint8_codes(tmp_path: Path, kernel: tuple[int, int]) -> None:
    """The file's codes are at least 0: ties go up, where those of the graph's signed codes would go down."""
    net = Net(4)
    quantization = 0.02, 117
    net.input((1, 8, 8, 3), quantization, type="uint8")
    rows, columns = kernel
    fields = {"Padding": 0, "StrideH": 2, "StrideW": 2, "FilterHeight": rows, "FilterWidth": columns}
    net.add("AVERAGE_POOL_2D", ["x0"], (1, 4, 4, 3), quantization, type="uint8", **fields)
    codes = net.codes(20)["x0"]
    expected = np.empty((20, 4, 4, 3), np.uint8)
    top, left = (max(3 * 2 + size - 8, 0) // 2 for size in kernel)
    for i in range(4):
        for j in range(4):
            window = codes[:, max(2 * i - top, 0) : 2 * i - top + rows, max(2 * j - left, 0) : 2 * j - left + columns]
            n = window.shape[1] * window.shape[2]
            expected[:, i, j] = (window.astype(np.int64).sum(axis=(1, 2)) + n // 2) // n
    for arithmetic in (Arithmetic(), Arithmetic(rounding="half_up"), Arithmetic.tflm()):
        assert_array_equal(run_graph(graph(net, tmp_path, arithmetic), {"x0": codes})["y0"], expected)
