"""A graph as a .tflite file, read back by the compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from codesign.networks import NETWORKS, NetworkBuilder
from codesign.peers.tflite_file import network_tflite
from compiler import load_model
from emulator import Arithmetic
from emulator.graph import Convolution, Linear, LookupTable


@pytest.mark.parametrize("name", ["ResNet-8", "DS-CNN", "autoencoder"])
def test_the_file_is_the_graph(name: str, tmp_path: Path) -> None:
    graph = NETWORKS[name](Arithmetic(), images=1)
    path = tmp_path / "network.tflite"
    path.write_bytes(network_tflite(graph))
    read = load_model(path, Arithmetic())
    made = {node.name: node for node in read.nodes}
    assert read.outputs == {node.name: node.name for node in graph.nodes[-1:]}
    for node in graph.nodes:
        if not isinstance(node, Convolution | Linear):
            continue
        other = made[node.name]
        assert type(other) is type(node) and other.shape == node.shape
        assert_array_equal(other.weight, node.weight)
        assert_array_equal(other.bias, node.bias)
        for kept in ("strides", "padding", "dilations", "groups") if isinstance(node, Convolution) else ():
            assert getattr(other, kept) == getattr(node, kept)
        # The file's scales are float32, the graph's multipliers integers of 24 bits or more.
        real = [layer.multiplier / np.exp2(layer.shift.astype(float)) for layer in (node, other)]
        assert_allclose(*real, rtol=1e-6)


def test_what_cannot_be_written_is_named() -> None:
    net = NetworkBuilder(Arithmetic(), images=0)
    graph = net.finish(net.convolution(net.input((8, 8, 2)), 4, (3, 3), "c", strides=(2, 2), padding=(1, 1, 1, 1)))
    with pytest.raises(ValueError, match=r"c: its padding must be TensorFlow's SAME or VALID, not \(1, 1, 1, 1\)"):
        network_tflite(graph)
    net = NetworkBuilder(Arithmetic(), images=0)
    x = net.input((4,))
    table = LookupTable(name="t", shape=(4,), scale=1.0, zero_point=0, inputs=(x.name,), table=np.zeros(256, np.int8))
    net.nodes.append(table)
    with pytest.raises(ValueError, match=r"t: must be one of Convolution, .* to be written as TFLite, not LookupTable"):
        network_tflite(net.finish(table))
