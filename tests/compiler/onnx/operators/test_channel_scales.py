"""Activations with a scale per channel in front of depthwise convolutions, as NNCF writes them."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import compile_graph, load_onnx
from emulator import Machine, run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import SMALL
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

SCALES = np.array([0.0517, 0.0213, 0.0431, 0.1009], F32)
WEIGHTS = np.array([0.0203, 0.0107, 0.0311, 0.0153], F32)


def by_channel(model: Model, x: str, scales=SCALES, zero=0, kind: str = "int8", **options) -> str:
    parameters = [model.constant(scales), model.constant(np.broadcast_to(zero, scales.shape), kind)]
    codes = model.node("QuantizeLinear", [x, *parameters], axis=1)
    return model.node(
        "DequantizeLinear", [codes, *map(model.constant, (options.get("as", scales),)), parameters[1]], axis=1
    )


def depthwise(model: Model, x: str, outputs: int = 4) -> str:
    rng = np.random.default_rng(7)
    scale = np.resize(WEIGHTS, outputs)
    weight = model.weight(rng.integers(-127, 128, (outputs, 1, 3, 3)), scale)
    bias = model.bias(np.arange(outputs) * 100 - 150, np.repeat(SCALES, outputs // 4) * scale)
    return model.node("Conv", [x, weight, bias], "depthwise", group=4, pads=[1, 1, 1, 1])


def check(model: Model, folder, x: dict[str, np.ndarray]):
    last = model.nodes[-2]
    codes, real = runtime(model, [last.output[0], last.input[0]], x)
    graph = load_onnx(model.save(folder))
    outputs = run_graph(graph, x)
    (ours,) = outputs.values()
    wrong = ours != codes.astype(np.int64) - (128 if codes.dtype == np.uint8 else 0)
    steps = real[wrong].astype(float) / float(F32(0.1013))
    assert wrong.sum() <= 3 and (np.abs(steps - np.floor(steps) - 0.5) < 2.0**-12).all() and ours.std() > 10
    sample = {name: array[:1] for name, array in x.items()}
    for config in SMALL:
        result = Machine(config).run(compile_graph(graph, config), sample)
        for name, output in run_graph(graph, sample).items():
            np.testing.assert_array_equal(result.outputs[name], output)
    return graph


@pytest.mark.parametrize("outputs", [4, 8])
def test_an_input_of_the_model_is_quantized_on_the_host(outputs, tmp_path):
    model = Model()
    y = depthwise(model, by_channel(model, model.input((4, 5, 6))), outputs)
    model.output(model.qdq(y, 0.1013))
    graph = check(model, tmp_path, images((20, 4, 5, 6)))
    (tensor,) = graph.inputs
    assert graph.metadata["channel_scales"] == {tensor.name: SCALES.tolist()} and tensor.scale == SCALES.max()


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_behind_a_convolution_and_a_relu(kind, tmp_path):
    model, zero = Model(), {"int8": -128, "uint8": 0}[kind]
    weight = model.weight(np.random.default_rng(1).integers(-127, 128, (4, 3, 2, 2)), 0.0209)
    y = model.node("Conv", [model.qdq(model.input((3, 5, 6)), 0.0371), weight], "first")
    y = by_channel(model, model.node("Relu", [y], "act"), zero=zero, kind=kind)
    model.output(model.qdq(depthwise(model, y), 0.1013))
    graph = check(model, tmp_path, images((20, 3, 5, 6)))
    assert [node.name for node in graph.nodes] == ["first", "depthwise"] and graph.nodes[0].y_min == -128
    assert len(set(graph.nodes[0].multiplier.tolist())) == 4


def test_behind_a_quantized_tensor(tmp_path):
    model = Model()
    y = by_channel(model, model.qdq(model.input((4, 5, 6)), 0.0371, 3))
    model.output(model.qdq(depthwise(model, y), 0.1013))
    check(model, tmp_path, images((20, 4, 5, 6)))


def test_refusals(tmp_path):
    def build(middle, behind=depthwise, **options):
        model = Model()
        y = middle(model, model.qdq(model.input((4, 5, 6)), 0.0371))
        model.output(model.qdq(behind(model, by_channel(model, y, **options)), 0.1013))
        return model

    def plain(model, x):
        return model.node("Conv", [x, model.weight(np.ones((2, 4, 1, 1)), 0.1)], "full")

    def identity(model, x):
        return x

    refused(
        build(identity, plain), tmp_path, "Conv 'full': its input has one scale per channel, and it is not depthwise"
    )
    refused(
        build(identity, lambda m, x: m.node("MaxPool", [x], "pool", kernel_shape=[2, 2])), tmp_path, "per_channel=False"
    )
    refused(build(identity, lambda m, x: m.node("AveragePool", [x], "pool", kernel_shape=[2, 2])), tmp_path,
            "AveragePool 'pool': reads codes with one scale per channel, as only a depthwise Conv does; l")  # fmt: skip
    refused(build(identity, zero=[0, 1, 0, 0]), tmp_path, "an activation must have one zero point, not several")
    refused(
        build(identity, **{"as": SCALES * 2}), tmp_path, "scales and zero points must be those of the QuantizeLinear"
    )
    clip = build(lambda m, x: m.node("Clip", [plain(m, x), m.constant(-1.0), m.constant(2.0)], "clip"))
    refused(clip, tmp_path, "per channel")
    pooled = build(lambda m, x: m.node("MaxPool", [x], "pool", kernel_shape=[2, 2]))
    refused(pooled, tmp_path, "must have one scale, not one per channel, unless a Conv makes it")


def test_the_columns_of_a_sequence_are_not_its_channels(tmp_path):
    """A product's scales are those of its columns; an activation's those of axis 1, the rows."""
    model = Model()
    weight = model.weight(np.arange(-6, 6).reshape(3, 4), 0.01)
    y = model.node("MatMul", [model.qdq(model.input((4, 3)), 0.0371, 3), weight], "product")
    kernel = model.weight(np.arange(12).reshape(4, 1, 3), 0.01)
    y = model.node("Conv", [by_channel(model, y), kernel], "depthwise", group=4)
    model.output(model.qdq(y, 0.1))
    refused(model, tmp_path, "an activation must have one scale, not one per channel, unless a Conv makes it")
