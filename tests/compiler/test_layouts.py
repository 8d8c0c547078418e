"""The doors of a graph: logical axes as in an ONNX file, or the stored ones as in a TFLite file."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Graph, Machine, Slice, Tensor, run_graph


@pytest.mark.parametrize("last", [False, True])
def test_layout_of_inputs_and_outputs(last: bool) -> None:
    stored = np.arange(24, dtype=np.int8).reshape(2, 1, 3, 4)
    given = stored if last else np.moveaxis(stored, -1, 1)
    fields = {"scale": 1.0, "zero_point": 0, "channels_last": last}
    x = Tensor(name="x", shape=(1, 3, 4), **fields)
    y = Slice(name="y", shape=(1, 2, 4), inputs=("x",), axis=2, start=1, stop=3, **fields)
    graph = Graph(inputs=(x,), nodes=(y,), outputs={"out": "y"}, arithmetic=Arithmetic())
    expected = given[:, :, 1:] if last else given[..., 1:]
    assert_array_equal(run_graph(graph, {"x": given})["out"], expected)
    assert_array_equal(run_graph(graph, {"x": given.astype(np.float32)}, every=True)["y"], expected)
    result = Machine(AcceleratorConfig()).run(compile_graph(graph, AcceleratorConfig()), {"x": given})
    assert_array_equal(result.outputs["out"], expected)
