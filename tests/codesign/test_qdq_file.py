"""A built network as a QDQ file, read again and run by another runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_array_equal

from codesign.networks import NetworkBuilder
from codesign.networks.qdq_file import qdq_model
from compiler import load_onnx
from emulator import Add, Arithmetic, Convolution, Graph, Linear, run_graph


def small_network(activation_bits: int = 8) -> Graph:
    net = NetworkBuilder(Arithmetic(activation_bits=activation_bits), seed=2)
    x = net.convolution(net.input((9, 8, 3)), 8, (3, 2), "first", strides=(2, 1), padding=(1, 0, 1, 1))
    y = net.convolution(x, 8, (3, 3), "depthwise", padding=(1, 1, 1, 1), groups=8, activation=None)
    z = net.max_pool(net.add(x, y, "sum", activation="relu"), (2, 2), (1, 2), (0, 0, 0, 0), "maximum")
    return net.finish(net.linear(net.average_pool(z, "average"), 5, "logits"))


def test_another_runtime_computes_the_same_network(tmp_path: Path) -> None:
    graph = small_network()
    path = tmp_path / "network.onnx"
    path.write_bytes(qdq_model(graph).SerializeToString())
    read = load_onnx(path)
    ours = [node for node in graph.nodes if isinstance(node, (Convolution, Linear, Add))]
    theirs = [node for node in read.nodes if isinstance(node, (Convolution, Linear, Add))]
    for own, other in zip(ours, theirs, strict=True):
        assert (own.scale, own.zero_point, type(own)) == (other.scale, other.zero_point, type(other))
        if isinstance(own, (Convolution, Linear)) and isinstance(other, (Convolution, Linear)):
            assert_array_equal(own.weight, other.weight)
            assert_array_equal(own.bias, other.bias)
            exact, found = own.multiplier / 2.0**own.shift, other.multiplier / 2.0**other.shift
            np.testing.assert_allclose(found, exact, rtol=2.0**-22)
    x = np.random.default_rng(1).normal(0, 1, (6, 3, 9, 8)).astype(np.float32)
    codes = run_graph(read, {"input": x})["output"]
    (real,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"input": x})
    node = graph.tensor(graph.outputs["output"])
    steps = np.abs(np.rint(real / node.scale) + node.zero_point - codes)
    assert np.unique(codes).size > 20
    assert steps.max() <= 2 and (steps > 0).mean() < 0.2, "ONNX Runtime's float requantization differs near ties only"


def test_what_the_file_cannot_say() -> None:
    graph = small_network()
    with pytest.raises(ValueError, match="input must have all codes of int8, not -8 … 7"):
        qdq_model(small_network(activation_bits=4))
    difference = tuple(replace(node, subtract=True) if isinstance(node, Add) else node for node in graph.nodes)
    with pytest.raises(ValueError, match="sum must be of a plain network, not Add"):
        qdq_model(replace(graph, nodes=difference))
