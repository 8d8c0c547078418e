"""Graphs with weight zero points, sums as outputs, the rescaled adder, averages of raw codes, and host parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from emulator import (
    Arithmetic,
    AveragePool,
    Convolution,
    Graph,
    HostPart,
    Linear,
    Node,
    RescaledAdd,
    Reshape,
    Tensor,
    quantize_rescaled_adder,
    raw_average_multipliers,
    run_graph,
    run_graph_counts,
)
from tests import graph_oracle
from tests.emulator.graph.test_run import tensor
from tests.emulator.strategies import codes


def network(arithmetic: Arithmetic) -> Graph:
    """The input is (2 channels, 6, 5)."""
    low, high = arithmetic.weight_range
    multiplier, shift = np.array([30, 29, 27, 25]), np.array([13, 14, 13, 14])
    factors = quantize_rescaled_adder(0.05, 0.1, 0.07, arithmetic)
    names = ("a_multiplier", "a_shift", "b_multiplier", "b_shift", "multiplier", "shift")
    adder: dict[str, Any] = dict(zip(names, factors, strict=True))
    pool: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 2), "padding": (1, 0, 1, 1)}
    reciprocal, places = raw_average_multipliers((6, 5), **pool, arithmetic=replace(arithmetic, multiplier_bits=31))
    nodes: tuple[Node, ...] = (
        Convolution(
            **tensor("conv", (6, 5, 4), -128),
            inputs=("image",),
            weight=codes(1, (4, 3, 3, 2), (low, high)),
            bias=np.array([5, -6, 700, 8000]),
            multiplier=multiplier,
            shift=shift,
            padding=(1, 1, 1, 1),
            weight_zero_point=np.array([low, 0, high, 3]),
        ),
        Convolution(
            **tensor("other", (6, 5, 4), 9, scale=0.1),
            inputs=("conv",),
            weight=codes(2, (4, 1, 1, 1), (low, high)),
            bias=np.array([1, -6, 7, 8]),
            multiplier=multiplier,
            shift=shift - 4,
            groups=4,
        ),
        RescaledAdd(**tensor("sum", (6, 5, 4), 7, scale=0.07, y_min=-100), inputs=("conv", "other"), **adder),
        RescaledAdd(**tensor("difference", (6, 5, 4), 3, scale=0.07), inputs=("conv", "other"), **adder, subtract=True),
        AveragePool(
            **tensor("mean", (3, 3, 4), 7, scale=0.07, y_max=90),
            inputs=("sum",),
            **pool,
            multiplier=reciprocal,
            shift=places,
            raw=True,
        ),
        Reshape(**tensor("flat", (36,), 7, scale=0.07), inputs=("mean",)),
        Linear(
            **tensor("sums", (3,), 0),
            inputs=("flat",),
            weight=codes(3, (36, 3), (low, high)),
            bias=np.array([0, 1, 2]),
            multiplier=np.zeros(3, np.int64),
            shift=np.zeros(3, np.int64),
            weight_zero_point=np.array([high, low, 1]),
            raw=True,
        ),
    )
    image = Tensor(name="image", shape=(6, 5, 2), scale=0.1, zero_point=-20)
    outputs = {"logits": "sums", "features": "difference"}
    return Graph(inputs=(image,), nodes=nodes, outputs=outputs, arithmetic=arithmetic)


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [12, 17, 32])
@pytest.mark.parametrize("rounding", ["double", "half_even", "floor"])
def test_every_layer_is_the_oracle_s(rounding: str, bits: int, overflow: str) -> None:
    arithmetic = Arithmetic(
        accumulator_bits=bits, overflow=overflow, multiplier_bits=16, rounding=rounding, adder="rescaled"
    )
    graph = network(replace(arithmetic, rounding="half_up"))
    graph = replace(graph, arithmetic=arithmetic, nodes=tuple(fitting(node, arithmetic) for node in graph.nodes))
    x = codes(4, (2, 2, 6, 5), (-128, 127))
    shown, counts = run_graph_counts(graph, {"image": x})
    outputs = run_graph(graph, {"image": x})
    every = run_graph(graph, {"image": x}, every=True)
    for sample in range(len(x)):
        expected = graph_oracle.run(graph, {"image": x[sample].transpose(1, 2, 0)})
        for name, (made, _) in expected.items():
            stored = np.moveaxis(shown[name][sample], 0, -1)
            assert_array_equal(stored, made, err_msg=name)
    for name, layer in shown.items():
        assert_array_equal(every[name], layer)
        met = [graph_oracle.run(graph, {"image": image.transpose(1, 2, 0)})[name][1] for image in x]
        assert counts[name].overflows.sum() == sum(m.overflows for m in met)
        assert counts[name].clips.sum() == sum(m.clips for m in met)
    assert outputs["logits"].dtype == np.int64 and outputs["features"].dtype == np.int8
    assert_array_equal(outputs["logits"], shown["sums"])
    overflowing = {name for name in ("conv", "sums") if counts[name].overflows.any()}
    assert ("conv" in overflowing, bool(overflowing)) == ((True, True) if bits < 32 else (False, False))


def fitting(node: Node, arithmetic: Arithmetic) -> Node:
    """`node` with biases of the arithmetic's bits."""
    if isinstance(node, (Convolution, Linear)):
        return replace(node, bias=np.clip(node.bias, *arithmetic.bias_range))
    return node


class Normalize(HostPart):
    """Two arrays of the model's own to the graph's input, and the graph's sums to two of the model's own."""

    def __init__(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.inputs, self.outputs = inputs, outputs

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        assert tuple(arrays) == self.inputs
        if self.outputs == ("image",):
            return {"image": (arrays["pixels"] - arrays["mean"]).astype(np.float32)}
        return {"real": arrays["logits"] * 0.5, "best": arrays["logits"].argmax(axis=1)}


def test_host_parts() -> None:
    plain = network(Arithmetic(accumulator_bits=20, multiplier_bits=31, adder="rescaled"))
    graph = replace(
        plain, head=Normalize(("pixels", "mean"), ("image",)), tail=Normalize(("logits",), ("real", "best"))
    )
    rng = np.random.default_rng(1)
    pixels, mean = rng.normal(3, 5, (4, 2, 6, 5)), rng.normal(3, 1, (4, 2, 6, 5))
    expected = run_graph(plain, {"image": (pixels - mean).astype(np.float32)})
    found = run_graph(graph, {"mean": mean, "pixels": pixels})
    assert list(found) == ["features", "real", "best"]
    assert_array_equal(found["features"], expected["features"])
    assert_array_equal(found["real"], expected["logits"] * 0.5)
    assert_array_equal(found["best"], expected["logits"].argmax(axis=1))
    every = run_graph(graph, {"mean": mean, "pixels": pixels}, every=True)
    assert_array_equal(every["sums"], expected["logits"])
    assert_array_equal(run_graph_counts(graph, {"mean": mean, "pixels": pixels})[0]["sums"], expected["logits"])
    with pytest.raises(ValueError, match="inputs must be named 'pixels', 'mean', not 'image'"):
        run_graph(graph, {"image": pixels})
    with pytest.raises(ValueError, match="inputs must have 'mean', not only 'pixels'"):
        run_graph(graph, {"pixels": pixels})
    with pytest.raises(TypeError, match="inputs must be a dictionary of arrays by input name, not ndarray"):
        run_graph(graph, pixels)  # type: ignore[arg-type]


def test_an_input_that_the_head_does_not_make_is_the_model_s_own() -> None:
    a, b = (Tensor(name=name, shape=(3,), scale=0.5, zero_point=0) for name in ("image", "b"))
    factors = dict(zip(("a_multiplier", "b_multiplier", "multiplier"), (1, 1, 1), strict=True))
    shifts = dict(zip(("a_shift", "b_shift", "shift"), (1, 1, 19), strict=True))
    node = RescaledAdd(**tensor("sum", (3,), 0), inputs=("image", "b"), **factors, **shifts)
    graph = Graph(inputs=(a, b), nodes=(node,), outputs={"y": "sum"}, arithmetic=Arithmetic(adder="rescaled"))
    graph = replace(graph, head=Normalize(("pixels", "mean"), ("image",)))
    arrays = {"pixels": np.array([[4.0, 5, 6]]), "mean": np.ones((1, 3)), "b": np.array([[1, 2, 3]], np.int8)}
    assert run_graph(graph, arrays)["y"].tolist() == [[7, 10, 13]]


def test_errors() -> None:
    graph = network(Arithmetic(multiplier_bits=31))
    x = {"image": np.zeros((1, 2, 6, 5), np.int8)}
    again = Reshape(**tensor("again", (3,), 0), inputs=("sums",))
    with pytest.raises(ValueError, match="layer 'again': input must be codes, not the sums of 'sums'"):
        run_graph(replace(graph, nodes=(*graph.nodes, again)), x)
    nodes = tuple(replace(node, scale=0.08) if node.name == "mean" else node for node in graph.nodes)
    message = "layer 'mean': an average of raw codes must have the scale and zero point of its input"
    with pytest.raises(ValueError, match=message):
        run_graph(replace(graph, nodes=nodes), x)
    first = replace(graph.nodes[0], weight_zero_point=np.array([0, 0, 0, 128]))
    with pytest.raises(ValueError, match="layer 'conv': w_zero_point must be from -128 to 127, not 128 at index 3"):
        run_graph(replace(graph, nodes=(first, *graph.nodes[1:])), x)
