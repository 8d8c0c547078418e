"""Operators of codes, each spelt as its float twin between DequantizeLinear and QuantizeLinear.

ONNX's QLinear… operators, ConvInteger and MatMulInteger, and those of domain com.microsoft that ONNX Runtime's
quantizer writes. What they compute is by definition what the twin computes, so the twin is what is read.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import AttributeProto, helper

from ....reading.constants import Constant, QuantizedConstant
from ....reading.products.weighted import WeightedSource
from ....reading.values import Codes, Real, Value
from ...code_types import CODE_TYPES
from ...environment import Environment
from ...operator import Operator
from ..moves.concat import lower_concat
from ..pointwise.elementwise import lower_elementwise
from ..pointwise.function import lower_function
from ..pools.pool import lower_average_pool, lower_global_average_pool
from ..pools.reduce import lower_reduce
from ..products.convolution import lower_conv
from ..products.linear import lower_gemm, lower_matmul
from ..rows.softmax import lower_softmax
from .quantize import lower_dequantize_linear, lower_quantize_linear

TWINS = {
    "Add": lower_elementwise,
    "AveragePool": lower_average_pool,
    "Concat": lower_concat,
    "Conv": lower_conv,
    "Gemm": lower_gemm,
    "GlobalAveragePool": lower_global_average_pool,
    "LeakyRelu": lower_function,
    "MatMul": lower_matmul,
    "Mul": lower_elementwise,
    "ReduceMean": lower_reduce,
    "Sigmoid": lower_function,
    "Softmax": lower_softmax,
}


@dataclass(frozen=True)
class Signature:
    """Which inputs and attributes an operator of domain com.microsoft has.

    inputs : the fewest and the most
    attributes : name → type; those of the twin
    """

    inputs: tuple[int, int]
    attributes: Mapping[str, int]


WINDOW: Mapping[str, int] = dict.fromkeys(("kernel_shape", "pads", "strides"), AttributeProto.INTS) | {
    "auto_pad": AttributeProto.STRING,
    "ceil_mode": AttributeProto.INT,
    "count_include_pad": AttributeProto.INT,
    "channels_last": AttributeProto.INT,
}
SIGNATURES = {
    "com.microsoft.QGemm": Signature(
        (6, 9), {"alpha": AttributeProto.FLOAT, "transA": AttributeProto.INT, "transB": AttributeProto.INT}
    ),
    "com.microsoft.QLinearAdd": Signature((7, 8), {}),
    "com.microsoft.QLinearMul": Signature((7, 8), {}),
    "com.microsoft.QLinearConcat": Signature((5, 1 << 20), {"axis": AttributeProto.INT}),
    "com.microsoft.QLinearAveragePool": Signature((4, 5), WINDOW),
    "com.microsoft.QLinearGlobalAveragePool": Signature((4, 5), {"channels_last": AttributeProto.INT}),
    "com.microsoft.QLinearLeakyRelu": Signature((4, 5), {"alpha": AttributeProto.FLOAT}),
    "com.microsoft.QLinearReduceMean": Signature((4, 5), {"axes": AttributeProto.INTS, "keepdims": AttributeProto.INT}),
    "com.microsoft.QLinearSigmoid": Signature((4, 5), {}),
    "com.microsoft.QLinearSoftmax": Signature((4, 5), {"axis": AttributeProto.INT, "opset": AttributeProto.INT}),
    "com.microsoft.MatMulIntegerToFloat": Signature((4, 7), {}),
}


class Twin:
    """The values inside one operator of codes: its own environment, in which every step has the operator's name."""

    def __init__(self, env: Environment, op: Operator):
        self.env, self.op = replace(env, values=ChainMap({}, env.values)), op

    def keep(self, value: Value) -> str:
        """A name for a value."""
        name = f"{self.op.output}/{len(self.env.values)}"
        self.env.values[name] = value
        return name

    def step(self, kind: str, inputs: Sequence[str], drop: Sequence[str] = (), **attributes: int) -> Operator:
        """An operator `kind` with the attributes of the whole but for those of `drop`."""
        kept = {name: value for name, value in self.op.attributes.items() if name not in drop}
        kept |= {name: helper.make_attribute(name, value) for name, value in attributes.items()}
        return Operator(self.op.name, kind, self.op.outputs, tuple(inputs), kept)

    def dequantized(self, x: int, scale: int, zero: int, axis: int | None = None) -> str:
        """Inputs number `x`, `scale` and `zero` as real numbers."""
        names = [self.op.input(index) for index in (x, scale, zero)]
        attributes = {} if axis is None else {"axis": axis}
        step = Operator(self.op.name, "DequantizeLinear", self.op.outputs, tuple(names), _made(attributes))
        return self.keep(lower_dequantize_linear(self.env, step))

    def computed(self, kind: str, inputs: Sequence[str], drop: Sequence[str] = ()) -> str:
        """The twin's result."""
        result = TWINS[kind](self.env, self.step(kind, inputs, drop))
        return self.keep(result[0] if isinstance(result, tuple) else result)

    def quantized(self, x: str, scale: int, zero: int) -> Value:
        """The codes of `x`, with scale and zero point of these inputs."""
        names = (x, self.op.input(scale), self.op.input(zero))
        return lower_quantize_linear(self.env, Operator(self.op.name, "QuantizeLinear", self.op.outputs, names, {}))


def lower_qlinear_conv(env: Environment, op: Operator) -> Value:
    """QLinearConv; its bias is integers in steps of the sums."""
    twin = Twin(env, op)
    inputs = [twin.dequantized(0, 1, 2), twin.dequantized(3, 4, 5, axis=0), op.input(8)]
    return twin.quantized(twin.computed("Conv", inputs), 6, 7)


def lower_qlinear_matmul(env: Environment, op: Operator) -> Value:
    """QLinearMatMul; scales of the second operand may be per column."""
    twin = Twin(env, op)
    inputs = [twin.dequantized(0, 1, 2), twin.dequantized(3, 4, 5, axis=-1)]
    return twin.quantized(twin.computed("MatMul", inputs), 6, 7)


def lower_qgemm(env: Environment, op: Operator) -> Value:
    """QGemm; without a scale of the result that is real numbers. The bias is integers in steps of the sums."""
    _check(op)
    bias = env.bias(op, 6)
    if bias is not None and not (isinstance(bias, Constant) and bias.values.dtype == np.int32):
        raise ValueError(f"bias {op.input(6)!r} must be INT32")
    twin = Twin(env, op)
    weight = twin.dequantized(3, 4, 5, axis=0 if op.integer("transB", 0) else 1)
    result = twin.computed("Gemm", [twin.dequantized(0, 1, 2), weight, op.input(6)])
    return twin.quantized(result, 7, 8) if op.input(7) else twin.env.value(result)


def lower_qlinear_binary(env: Environment, op: Operator) -> Value:
    """QLinearAdd and QLinearMul."""
    _check(op)
    twin = Twin(env, op)
    kind = op.type.removeprefix("com.microsoft.QLinear")
    return twin.quantized(twin.computed(kind, [twin.dequantized(0, 1, 2), twin.dequantized(3, 4, 5)]), 6, 7)


def lower_qlinear_unary(env: Environment, op: Operator) -> Value:
    """Pools, means and functions of one tensor of codes."""
    _check(op)
    op.only("channels_last", 0, "ONNX's own pools have the channels first")
    twin = Twin(env, op)
    kind = op.type.removeprefix("com.microsoft.QLinear")
    return twin.quantized(twin.computed(kind, [twin.dequantized(0, 1, 2)], drop=["channels_last"]), 3, 4)


def lower_qlinear_concat(env: Environment, op: Operator) -> Value:
    """QLinearConcat: scale and zero point of the result, then three inputs for each operand."""
    _check(op)
    if len(op.inputs) % 3 != 2:
        raise ValueError(f"must have 2 inputs and 3 for each operand, not {len(op.inputs)}")
    twin = Twin(env, op)
    parts = [twin.dequantized(index, index + 1, index + 2) for index in range(2, len(op.inputs), 3)]
    return twin.quantized(twin.computed("Concat", parts), 0, 1)


def lower_matmul_integer_to_float(env: Environment, op: Operator) -> Value:
    """MatMulIntegerToFloat: a product of codes, dequantized, with a bias of real numbers."""
    _check(op)
    twin = Twin(env, op)
    result = twin.computed("MatMul", [twin.dequantized(0, 2, 4), twin.dequantized(1, 3, 5, axis=-1)])
    return twin.env.value(twin.computed("Add", [result, op.input(6)]) if op.input(6) else result)


def lower_integer_product(env: Environment, op: Operator) -> Value:
    """ConvInteger and MatMulInteger: the sums themselves, which a Cast and a Mul behind them make real numbers."""
    x, weight = env.value(op.input(0)), env.value(op.input(1))
    if not isinstance(x, Codes):
        raise ValueError(f"input {op.input(0)!r} must be codes of a QuantizeLinear with a constant scale")
    if not isinstance(weight, Constant) or weight.values.dtype not in CODE_TYPES:
        raise ValueError(f"weight {op.input(1)!r} must be constant codes")
    kind = "Conv" if op.type == "ConvInteger" else "MatMul"
    zero = env.plain(op, 2, "zero point")
    if (0 if zero is None else int(zero.scalar)) - CODE_TYPES[x.type][2] != x.tensor.zero_point:
        raise ValueError("the zero point of its input must be that of the QuantizeLinear that made the codes")
    offset = CODE_TYPES[weight.values.dtype][2]
    zero = env.plain(op, 3, "zero point")
    points = np.zeros((), np.int64) if zero is None else zero.integers
    points = points.reshape(()) if points.size == 1 else points.reshape(-1)
    axis = 0 if kind == "Conv" else weight.values.ndim - 1
    channels = weight.values.shape[axis] if weight.values.ndim else 1
    if points.ndim and points.size != channels:
        raise ValueError(f"zero point must have {channels} elements, one per channel, not {points.size}")
    twin = Twin(env, op)
    codes = QuantizedConstant(weight.integers - offset, np.ones(points.shape, np.float32), points - offset, axis)
    names = [twin.keep(lower_dequantize_linear(twin.env, _as_made(twin, op, x))), twin.keep(codes)]
    result = twin.env.value(twin.computed(kind, names))
    assert isinstance(result, Real) and isinstance(result.source, WeightedSource)
    ones = np.ones(result.source.weights.channels, np.float32)
    return replace(result, source=replace(result.source, x_scale=ones))


def _as_made(twin: Twin, op: Operator, x: Codes) -> Operator:
    """A DequantizeLinear with the scale and zero point that `x` has."""
    scale = twin.keep(Constant(np.array(x.tensor.scale, np.float32)))
    zero = twin.keep(Constant(np.array(x.tensor.zero_point + CODE_TYPES[x.type][2], x.type)))
    return Operator(op.name, "DequantizeLinear", op.outputs, (op.input(0), scale, zero), {})


def _check(op: Operator) -> None:
    """Raise ``ValueError`` unless an operator of domain com.microsoft has the inputs and attributes that it must."""
    signature = SIGNATURES[op.type]
    low, high = signature.inputs
    if not low <= len(op.inputs) <= high:
        raise ValueError(f"must have {low} to {high} inputs, not {len(op.inputs)}")
    if len(op.outputs) != 1:
        raise ValueError(f"must have one output, not {len(op.outputs)}")
    for name, attribute in op.attributes.items():
        if name not in signature.attributes:
            raise ValueError(f"has the unknown attribute {name!r}")
        if attribute.ref_attr_name or attribute.type != signature.attributes[name]:
            kind = AttributeProto.AttributeType.Name(signature.attributes[name])
            raise ValueError(f"attribute {name!r} must be of type {kind}")


def _made(attributes: dict[str, int]) -> dict[str, AttributeProto]:
    return {name: helper.make_attribute(name, value) for name, value in attributes.items()}


LOWERINGS = {
    "QLinearConv": lower_qlinear_conv,
    "QLinearMatMul": lower_qlinear_matmul,
    "ConvInteger": lower_integer_product,
    "MatMulInteger": lower_integer_product,
    "com.microsoft.MatMulIntegerToFloat": lower_matmul_integer_to_float,
    "com.microsoft.QGemm": lower_qgemm,
    "com.microsoft.QLinearAdd": lower_qlinear_binary,
    "com.microsoft.QLinearMul": lower_qlinear_binary,
    "com.microsoft.QLinearConcat": lower_qlinear_concat,
    "com.microsoft.QLinearAveragePool": lower_qlinear_unary,
    "com.microsoft.QLinearGlobalAveragePool": lower_qlinear_unary,
    "com.microsoft.QLinearLeakyRelu": lower_qlinear_unary,
    "com.microsoft.QLinearReduceMean": lower_qlinear_unary,
    "com.microsoft.QLinearSigmoid": lower_qlinear_unary,
    "com.microsoft.QLinearSoftmax": lower_qlinear_unary,
}
