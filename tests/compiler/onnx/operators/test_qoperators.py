"""Operators of codes (QLinear…, QGemm, ConvInteger, …) against ONNX Runtime's own kernels, code by code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Convolution, run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

SX, SY = 0.0371, 0.11
MICROSOFT = "com.microsoft"


class Codes:
    """A model of codes: `x` and `y` are quantized inputs (scale, zero point), `kind` their type."""

    def __init__(self, kind: str, shape: tuple[int, ...]):
        self.model, self.kind, self.zero = Model(17), kind, 3 if kind == "int8" else 131
        source = self.model.input(shape)
        self.x = self.quantized(source, SX, self.zero)
        self.y = self.quantized(self.model.node("Relu", [self.real(self.x)]), 0.02, self.zero - 40)
        self.out = self.parameters(SY, self.zero - 9)

    def parameters(self, scale: object, zero: object, kind: str = "") -> list[str]:
        return [self.model.constant(scale), self.model.constant(zero, kind or self.kind)]

    def quantized(self, x: str, scale: float, zero: int) -> list[str]:
        parameters = self.parameters(scale, zero)
        return [self.model.node("QuantizeLinear", [x, *parameters]), *parameters]

    def real(self, codes: list[str]) -> str:
        return self.model.node("DequantizeLinear", codes)

    def weight(self, shape: tuple[int, ...], scale: object, zero: object, kind: str = "int8") -> list[str]:
        low, high = {"int8": (-127, 128), "uint8": (0, 256)}[kind]
        codes = np.random.default_rng(5).integers(low, high, shape)
        return [self.model.constant(codes, kind), *self.parameters(scale, zero, kind)]

    def bias(self, size: int) -> str:
        return self.model.constant(np.arange(size) * 311 - 400, "int32")

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        domain = "" if op in ("QLinearConv", "QLinearMatMul") else MICROSOFT
        return self.model.node(op, inputs, "layer", domain=domain, **attributes)


def conv(c: Codes) -> str:
    scale = np.array([0.01, 0.02, 0.015, 0.03], F32)
    weight = c.weight((4, 3, 3, 2), scale, np.zeros(4))
    return c.node("QLinearConv", [*c.x, *weight, *c.out, c.bias(4)], pads=[1, 0, 1, 1], strides=[2, 1])


def conv_asymmetric(c: Codes) -> str:
    return c.node("QLinearConv", [*c.x, *c.weight((4, 3, 3, 2), 0.01, 131, "uint8"), *c.out])


def depthwise(c: Codes) -> str:
    return c.node("QLinearConv", [*c.x, *c.weight((6, 1, 3, 2), 0.02, 0), *c.out, c.bias(6)], group=3)


def gemm(c: Codes) -> str:
    weight = c.weight((5, 12), np.linspace(0.01, 0.03, 5).astype(F32), np.zeros(5))
    return c.node("QGemm", [*c.x, *weight, c.bias(5), *c.out], transB=1)


def gemm_of_columns(c: Codes) -> str:
    return c.node("QGemm", [*c.x, *c.weight((12, 5), 0.01, 0), "", *c.out], alpha=0.5)


def matmul(c: Codes) -> str:
    return c.node("QLinearMatMul", [*c.x, *c.weight((12, 5), 0.02, 0), *c.out])


def binary(op: str) -> Callable[[Codes], str]:
    return lambda c: c.node(op, [*c.x, *c.y, *c.out])


def unary(op: str, out: tuple[float, int] | None = None, **attributes: object) -> Callable[[Codes], str]:
    return lambda c: c.node(
        op, [*c.x, *(c.out if out is None else c.parameters(out[0], c.zero + out[1]))], **attributes
    )


def concat(c: Codes) -> str:
    return c.node("QLinearConcat", [*c.out, *c.x, *c.y], axis=1)


MAPS = {
    "conv": conv, "depthwise": depthwise, "add": binary("QLinearAdd"), "mul": binary("QLinearMul"), "concat": concat,
    "average": unary("QLinearAveragePool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0]),
    "counted": unary("QLinearAveragePool", kernel_shape=[3, 2], pads=[1, 0, 1, 0], count_include_pad=1),
    "global": unary("QLinearGlobalAveragePool"),
    "sigmoid": unary("QLinearSigmoid", (1 / 256, -131)), "leaky": unary("QLinearLeakyRelu", alpha=0.3),
}  # fmt: skip
VECTORS = {"gemm": gemm, "columns": gemm_of_columns, "matmul": matmul}


def built(build: Callable[[Codes], str], kind: str, shape: tuple[int, ...]) -> tuple[Model, str]:
    """The model, and the name of the layer's codes."""
    made = Codes(kind, shape)
    codes = build(made)
    parameters = made.model.nodes[-1].input
    place = {"QLinearConcat": 0}.get(made.model.nodes[-1].op_type)
    scale = list(parameters[:2]) if place == 0 else None
    if scale is None:
        scale = list(parameters[6:8]) if made.model.nodes[-1].op_type in ("QLinearConv", "QLinearMatMul") else None
    if scale is None:
        scale = list(parameters[-2:])
    made.model.output(made.model.node("DequantizeLinear", [codes, *scale]))
    return made.model, codes


def check(model: Model, codes: str, folder, x: dict[str, np.ndarray], most: int) -> None:
    graph = load_onnx(model.save(folder))
    (theirs,) = runtime(model, [codes], x)
    (ours,) = run_graph(graph, x).values()
    difference = np.abs(ours - (theirs.astype(np.int64) - (128 if theirs.dtype == np.uint8 else 0)))
    assert ours.shape == theirs.shape and ours.std() > 1
    assert difference.max() <= 1 and np.count_nonzero(difference) <= most
    check_machines(graph, {name: array[:1] for name, array in x.items()})


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("build", MAPS.values(), ids=MAPS)
def test_maps_of_codes(build, kind, tmp_path):
    model, codes = built(build, kind, (3, 7, 6))
    # An average of 6 codes times 0.0371/0.11 has no tie; float32 tables have, in other orders, at most a few.
    check(model, codes, tmp_path, images((20, 3, 7, 6)), most=2)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("build", VECTORS.values(), ids=VECTORS)
def test_vectors_of_codes(build, kind, tmp_path):
    model, codes = built(build, kind, (12,))
    check(model, codes, tmp_path, images((50, 12)), most=0)


def test_weights_with_a_zero_point(tmp_path):
    model, codes = built(conv_asymmetric, "uint8", (3, 7, 6))
    graph, x = load_onnx(model.save(tmp_path)), images((20, 3, 7, 6))
    assert graph.nodes[-1].weight_zero_point.tolist() == [3] * 4
    (theirs,), (ours,) = runtime(model, [codes], x), run_graph(graph, x).values()
    np.testing.assert_array_equal(ours, theirs.astype(np.int64) - 128)


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_integer_products_with_their_rescaling_behind(op, tmp_path):
    made = Codes("uint8", (3, 7, 6) if op == "ConvInteger" else (12,))
    shape = (4, 3, 3, 2) if op == "ConvInteger" else (12, 4)
    weight = made.weight(shape, 1.0, 0)
    m = made.model
    y = m.node(op, [made.x[0], weight[0], made.x[2], weight[2]], "product")
    scale = np.array([0.001, 0.0007, 0.0004, 0.0015], F32).reshape((1, 4, 1, 1) if op == "ConvInteger" else (4,))
    y = m.node("Mul", [m.node("Cast", [y], to=1), m.constant(scale)], "scaled")
    y = m.node("Add", [y, m.constant(scale * 300)], "biased")
    m.output(m.qdq(y, 0.11, 5))
    graph = load_onnx(m.save(tmp_path))
    assert isinstance(graph.nodes[-1], Convolution) == (op == "ConvInteger")
    assert graph.nodes[-1].bias.tolist() == [300] * 4
    x = images((20, 3, 7, 6) if op == "ConvInteger" else (60, 12))
    (theirs,), (ours,) = runtime(m, [m.nodes[-2].output[0]], x), run_graph(graph, x).values()
    assert ours.std() > 5
    np.testing.assert_array_equal(ours, theirs)


def test_moves_lie_between_operators_of_codes(tmp_path):
    made = Codes("uint8", (3, 7, 6))
    m, conv1 = made.model, conv(made)
    y = m.node("MaxPool", [conv1], "pool", kernel_shape=[2, 2])
    y = m.node("Reshape", [m.node("Transpose", [y], perm=[0, 2, 3, 1]), m.constant([0, -1], "int64")], "flat")
    weight = made.weight((3, 60), 0.02, 0)
    y = m.node("QGemm", [y, *made.out, *weight, "", *made.parameters(0.7, 100)], "fc", domain=MICROSOFT, transB=1)
    m.output(m.node("DequantizeLinear", [y, *list(m.nodes[-1].input[-2:])]))
    check(m, y, tmp_path, images((20, 3, 7, 6)), most=0)


@pytest.mark.parametrize(("build", "text"), [
    (lambda c: c.node("QLinearAdd", [*c.x, *c.y]), "QLinearAdd 'layer': must have 7 to 8 inputs, not 6"),
    (lambda c: c.node("QLinearSigmoid", [*c.x, *c.out], alpha=1.0), "has the unknown attribute 'alpha'"),
    (lambda c: c.node("QLinearLeakyRelu", [*c.x, *c.out], alpha=1), "attribute 'alpha' must be of type FLOAT"),
    (lambda c: c.node("QLinearGlobalAveragePool", [*c.x, *c.out], channels_last=1), "channels_last must be 0, not 1"),
    (lambda c: c.node("QLinearConcat", [*c.out, *c.x, *c.y[:2]], axis=1), "must have 2 inputs and 3 for each operand"),
    (lambda c: c.node("QLinearConv", [c.x[0], c.y[1], c.x[2], *c.weight((4, 3, 1, 1), 0.1, 0), *c.out]),
     "scale and zero point must be those of the QuantizeLinear that made the codes"),
    (lambda c: c.node("QLinearConv", [*c.x, *c.y, *c.out]), "must be a constant"),
])  # fmt: skip
def test_refusals(build, text, tmp_path):
    made = Codes("int8", (3, 7, 6))
    made.model.output(made.model.node("DequantizeLinear", [build(made), *made.out]))
    refused(made.model, tmp_path, text)
