"""Files that contradict themselves, which runtimes read each in its own way: refused, by operator and tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.testing import assert_array_equal

from compiler import load_model
from compiler.tflite.writer import FileOperator, FileTensor
from emulator import Arithmetic, run_graph
from tests.compiler.tflite.net import Net, graph, refusal
from tests.compiler.tflite.whole import classifier


def changed(net: Net, name: str, **fields: object) -> Net:
    """The network with some fields of a tensor changed."""
    net.tensors = [replace(tensor, **fields) if tensor.name == name else tensor for tensor in net.tensors]
    return net


def test_a_result_with_data(tmp_path: Path) -> None:
    net = changed(classifier(), "y0", data=np.zeros((1, 4, 5, 4), np.int8))
    assert refusal(net, tmp_path).startswith("operator 0 (CONV_2D, makes 'y0'): tensor 'y0' has data in the file")
    net = changed(classifier(), "x0", data=np.zeros((1, 4, 5, 3), np.int8))
    assert "tensor 'x0' has data in the file" in refusal(net, tmp_path)


def test_two_origins(tmp_path: Path) -> None:
    net = classifier()
    net.operators.append(FileOperator("RELU", ["y0"], ["y1"]))
    assert refusal(net, tmp_path, None, "y2") == "tensor 'y1' must have one origin, not operator 1 and operator 3"
    net = classifier()
    net.operators.append(FileOperator("RELU", ["y0"], ["x0"]))
    assert refusal(net, tmp_path, None, "y2") == "tensor 'x0' must have one origin, not an input and operator 3"


def test_shapes_that_do_not_follow(tmp_path: Path) -> None:
    net = changed(classifier(), "y2", shape=(1, 5))
    assert "gives tensor 'y2' the shape (1, 5), and the operator makes (1, 6)" in refusal(net, tmp_path)
    net = changed(classifier(), "y0", shape=(1, 4, 5, 3))
    assert "gives tensor 'y0' the shape (1, 4, 5, 3), which the operator does not make" in refusal(net, tmp_path)


def test_operators_out_of_order(tmp_path: Path) -> None:
    net = classifier()
    net.operators = [net.operators[index] for index in (1, 0, 2)]
    message = refusal(net, tmp_path)
    assert message == "operator 0 (FULLY_CONNECTED) reads tensor 'y0', which operator 1 makes behind it"


def test_zero_points_of_int8_weights(tmp_path: Path) -> None:
    """TFLM takes no notice of them, and other runtimes refuse them."""
    net = classifier()
    weights = net.operators[0].inputs[1]
    message = refusal(changed(net, weights, zero_point=np.array([0, 3, 0, 0])), tmp_path)
    assert "must have zero point 0, as TFLite takes it for int8 weights" in message


def test_depth_multiplier(tmp_path: Path) -> None:
    """TFLM computes with the option, newer TFLite with the shapes."""
    net = Net(0)
    x = net.input((1, 4, 4, 3))
    w, scale = net.weights((1, 3, 3, 6), 3)
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "DepthMultiplier": 3}
    net.add("DEPTHWISE_CONV_2D", [x, w, net.bias(6, x, scale)], (1, 4, 4, 6), **fields)
    assert "option DepthMultiplier must be 2, not 3" in refusal(net, tmp_path, Arithmetic.tflm())
    assert graph(net, tmp_path).nodes[0].shape == (4, 4, 6)


def test_a_stride_beyond_the_map(tmp_path: Path) -> None:
    net = Net(0)
    x = net.input((1, 4, 3))
    places = [net.integers(0, 1, 0), net.integers(1, 4, 3), net.integers(1, 1 << 20, 1)]
    net.add("STRIDED_SLICE", [x, *places], (1, 1, 3), x)
    codes = net.codes()
    assert_array_equal(run_graph(graph(net, tmp_path), codes)["y0"], codes["x0"][:, 1:2])


def test_scales_and_types(tmp_path: Path) -> None:
    for fields, text in (
        ({"scale": 0.0}, "must have a positive finite scale, not 0.0"),
        ({"scale": float("nan")}, "must have a positive finite scale, not nan"),
        ({"scale": None}, "must have one scale and one zero point, not 0"),
        ({"scale": np.full(3, 0.1)}, "must have one scale and one zero point, not 3"),
        ({"zero_point": 128}, "must have one of its codes as zero point, not 128"),
        ({"type": "int16"}, "must be int8 or uint8, not int16; convert with full integer quantization"),
    ):
        assert text in refusal(changed(classifier(), "y0", **fields), tmp_path)


def test_data_of_another_size(tmp_path: Path) -> None:
    net = classifier()
    weights = net.operators[0].inputs[1]
    message = refusal(changed(net, weights, data=np.zeros(7, np.int8)), tmp_path)
    assert f"tensor '{weights}' must have 108 bytes of data, not 7" in message


def test_names_that_are_missing_or_twice(tmp_path: Path) -> None:
    """Tensors without a name, or with another one's, have their number in it."""
    net = Net(0)
    net.tensors = [
        FileTensor("", (1, 4), scale=0.1),
        FileTensor("a", (1, 4), scale=0.2),
        FileTensor("a ", (1, 4), scale=0.3),
    ]
    net.operators = [FileOperator("QUANTIZE", ["x"], ["a"]), FileOperator("QUANTIZE", ["a"], ["a "])]
    net.tensors[0] = replace(net.tensors[0], name="x")
    net.inputs = ["x"]
    data = net.file().replace(b"a \x00", b"a\x00\x00").replace(b"\x02\x00\x00\x00a\x00", b"\x01\x00\x00\x00a\x00")
    data = data.replace(b"\x01\x00\x00\x00x\x00", b"\x00\x00\x00\x00\x00\x00")
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    read = load_model(path)
    assert [tensor.name for tensor in read.inputs] == ["tensor_0"] and list(read.outputs) == ["a:2"]
