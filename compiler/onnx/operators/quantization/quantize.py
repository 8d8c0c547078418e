"""QuantizeLinear and DequantizeLinear: where real numbers become codes, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from emulator.graph import stored_shape

from ....reading.channel_scaled import ChannelScaled
from ....reading.constants import Constant, QuantizedConstant
from ....reading.graph_input import graph_input
from ....reading.products.channels import quantized_by_channel
from ....reading.rounding import quantized
from ....reading.values import Codes, Dequantized, Real, Target, Value
from ...code_types import CODE_TYPES
from ...environment import Environment
from ...formats import check_blocks, check_code_type
from ...operator import Operator
from ...tensor import DTYPES, type_name
from ...values import Hosted
from ..pointwise.activation import clip_bounds

UINT8 = DTYPES[TensorProto.UINT8]
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)  # both are read as the real numbers that they are
CONSTANT_TYPES = {**CODE_TYPES, DTYPES[TensorProto.INT32]: (-(1 << 31), (1 << 31) - 1, 0)}


@dataclass(frozen=True, eq=False)
class Parameters:
    """Scale (float32, one or one per channel), zero point (int64, shaped as scale, as in the file) and code type."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    type: np.dtype[Any]

    @property
    def single(self) -> bool:
        """Whether there is one scale for the whole tensor."""
        return self.scale.ndim == 0


def lower_quantize_linear(env: Environment, op: Operator) -> Value:
    """QuantizeLinear: the one place where anything is rounded; a float constant is rounded right away."""
    value = env.any_value(op.input(0))
    parameters = _parameters(env, op, None)
    if parameters.type not in CODE_TYPES:
        raise ValueError(f"codes must be INT8, UINT8, INT4 or UINT4, not {type_name(parameters.type)}")
    low, high, offset = CODE_TYPES[parameters.type]
    if isinstance(value, QuantizedConstant):
        value = Constant(value.real)
    if isinstance(value, Constant):
        return _quantized_constant(value, op, parameters)
    if isinstance(value, Hosted):
        # Every quantizer of the tensor must see the same input.
        value = env.values[op.input(0)] = env.input_from_host(op.input(0))
    if not isinstance(value, Real):
        raise ValueError(f"input {op.input(0)!r} must be real numbers, it holds codes")
    low, high = _read(env, op, (low, high))
    if not parameters.single:
        zero_point = _common_zero_point(op, parameters) - offset
        bounds = zero_point, low - offset, high - offset
        tensor = quantized_by_channel(env.builder, value, op, parameters.scale, *bounds)
        return Codes(tensor, parameters.type, parameters.scale)
    zero_point = int(parameters.zero_point) - offset
    tensor = quantized(env.builder, value, op, float(parameters.scale), zero_point, low - offset, high - offset)
    return Codes(tensor, parameters.type)


def lower_dequantize_linear(env: Environment, op: Operator) -> Value:
    """DequantizeLinear of codes (an activation) or of a constant (weights, biases)."""
    if op.integer("output_dtype", 0) not in (0, *FLOATS):
        raise ValueError(f"output_dtype must be FLOAT, not {type_name(op.integer('output_dtype', 0))}")
    value = env.any_value(op.input(0))
    if isinstance(value, Hosted):
        return _input_codes(env, op)
    if isinstance(value, Codes):
        parameters = _parameters(env, op, value.type)
        offset = CODE_TYPES[value.type][2]
        if value.channel_scale is not None:
            zero_point = _common_zero_point(op, parameters) - offset
            same = np.array_equal(parameters.scale, value.channel_scale) and zero_point == value.tensor.zero_point
            if not same:
                raise ValueError("scales and zero points must be those of the QuantizeLinear that made the codes")
            return Real(ChannelScaled(op, value.tensor, value.channel_scale))
        same = parameters.single and float(parameters.scale) == value.tensor.scale
        if not same or int(parameters.zero_point) - offset != value.tensor.zero_point:
            raise ValueError("scale and zero point must be those of the QuantizeLinear that made the codes")
        return Real(Dequantized(value.tensor))
    if not isinstance(value, Constant):
        raise ValueError(f"input {op.input(0)!r} must be codes, it holds real numbers")
    kind = value.values.dtype
    check_code_type(op, type_name(kind))
    if kind not in CONSTANT_TYPES:
        raise ValueError(f"a constant must be INT8, UINT8, INT4, UINT4 or INT32, not {type_name(kind)}")
    parameters = _parameters(env, op, kind)
    offset = CONSTANT_TYPES[kind][2]
    axis = _axis(op, value.values.ndim, parameters, value.values.shape)
    return QuantizedConstant(value.integers - offset, parameters.scale, parameters.zero_point - offset, axis)


def quantizer_target(env: Environment, op: Operator) -> Target | None:
    """What a QuantizeLinear asks for, None where it has a scale per channel."""
    parameters = _parameters(env, op, None)
    if not parameters.single or parameters.type not in CODE_TYPES:
        return None
    low, high, offset = CODE_TYPES[parameters.type]
    return Target(float(parameters.scale), int(parameters.zero_point) - offset, low - offset, high - offset)


def _input_codes(env: Environment, op: Operator) -> Real:
    """The model's own input, or what the host makes of it, that holds codes already."""
    name = op.input(0)
    kind, shape = env.host.tensor(name)
    if kind not in (np.int8, np.uint8):
        raise ValueError(f"{name!r} must be INT8 or UINT8 codes, not {type_name(kind)}")
    parameters = _parameters(env, op, kind)
    low, high, offset = CODE_TYPES[kind]
    zero_point = _common_zero_point(op, parameters) - offset
    target = Target(float(parameters.scale.max()), zero_point, low - offset, high - offset)
    tensor = graph_input(env.builder, name, stored_shape(shape), target)
    if parameters.single:
        return Real(Dequantized(tensor))
    env.builder.channel_scales[tensor.name] = parameters.scale.tolist()
    return Real(ChannelScaled(op, tensor, parameters.scale))


def is_by_channel(env: Environment, op: Operator) -> bool:
    """Whether a quantizer has a scale per channel, for convolutions alone."""
    if op.type not in ("QuantizeLinear", "com.microsoft.QuantizeLinear"):
        return False
    scale, pairs = env.any_value(op.input(1)), env.readers.get(op.output, ())
    readers = {reader.type for pair in pairs for reader in env.readers.get(pair.output, ())}
    return isinstance(scale, Constant) and scale.values.ndim == 1 and scale.values.size > 1 and readers == {"Conv"}


def _common_zero_point(op: Operator, parameters: Parameters) -> int:
    """The zero point of an activation, which has one; its scales, if several, are those of its channels."""
    if not (parameters.zero_point == parameters.zero_point.flat[0]).all():
        raise ValueError("an activation must have one zero point, not several")
    if not parameters.single and op.integer("axis", 1) != 1:
        raise ValueError(
            f"scales of an activation must be per channel (axis 1), not along axis {op.integer('axis', 1)}"
        )
    return int(parameters.zero_point.flat[0])


def _read(env: Environment, op: Operator, codes: tuple[int, int]) -> tuple[int, int]:
    """The codes that are left where all who read these clip them alike, all of them otherwise."""
    readers = env.readers.get(op.output, ())
    if not readers or any(reader.type != "Clip" or reader.input(0) != op.output for reader in readers):
        return codes
    try:
        bounds = {clip_bounds(env, reader, *codes) for reader in readers}
    except ValueError:  # the Clip itself says so
        return codes
    return bounds.pop() if len(bounds) == 1 else codes


def _parameters(env: Environment, op: Operator, expected: np.dtype[Any] | None) -> Parameters:
    check_blocks(op)
    if op.integer("precision", 0) not in (0, *FLOATS):
        raise ValueError(f"precision must be FLOAT, not {type_name(op.integer('precision', 0))}")
    scale = env.plain(op, 1, "scale")
    assert scale is not None
    if scale.values.dtype not in (np.float32, np.float16):
        raise ValueError(f"scale must be FLOAT, not {type_name(scale.values.dtype)}")
    # A float16 is one float32 exactly.
    scales = scale.values.astype(np.float32)
    good = np.isfinite(scales) & (scales > 0)
    if not scales.size or not good.all():
        wrong = scales[~good].flat[0] if scales.size else "empty"
        raise ValueError(f"scale must be positive and finite, not {wrong!s}")
    if scales.ndim > 1:
        raise ValueError(f"scale must be one number or one per channel, not of shape {scales.shape}")
    stored = env.initializers.get(op.input(2))
    if stored is not None:
        check_code_type(op, type_name(stored.data_type))
    zero = env.plain(op, 2, "zero point")
    if zero is None:
        implied = op.integer("output_dtype", 0) if op.type in ("QuantizeLinear", "com.microsoft.QuantizeLinear") else 0
        check_code_type(op, type_name(implied))
        kind = expected or DTYPES.get(implied, UINT8)
        values = np.zeros(scales.shape, np.int64)
    else:
        kind = zero.values.dtype
        check_code_type(op, type_name(kind))
        if expected is not None and kind != expected:
            raise ValueError(f"zero point must be {type_name(expected)} as the codes are, not {type_name(kind)}")
        if kind not in CONSTANT_TYPES:
            raise ValueError(f"codes must be INT8, UINT8, INT4 or UINT4, not {type_name(kind)}")
        values = zero.integers
        if values.size != scales.size:
            raise ValueError(f"zero point must have {scales.size} elements, as the scale, not {values.size}")
        if values.ndim > 1:
            raise ValueError(f"zero point must be one number or one per channel, not of shape {values.shape}")
    shape = () if scales.size == 1 else scales.shape
    return Parameters(scales.reshape(shape), values.reshape(shape), kind)


def _quantized_constant(value: Constant, op: Operator, parameters: Parameters) -> Constant:
    """Weights kept as floats: ONNX QuantizeLinear, the division in float32, ties to even.

    ONNX's reference evaluator would not do: it brings the quotient into int32 before it clamps.
    """
    if value.values.dtype not in (np.float32, np.float16):
        raise ValueError(f"a constant must be FLOAT to be quantized, not {type_name(value.values.dtype)}")
    if not np.isfinite(value.values).all():
        raise ValueError(f"constant {op.input(0)!r} must be finite")
    axis = _axis(op, value.values.ndim, parameters, value.values.shape)
    shape = [] if parameters.single else [-1 if i == axis else 1 for i in range(value.values.ndim)]
    low, high, _ = CODE_TYPES[parameters.type]
    zero_point = parameters.zero_point.reshape(shape)
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.rint(value.values.astype(np.float32) / parameters.scale.reshape(shape))
    codes = np.clip(rounded, low - zero_point, high - zero_point) + zero_point
    return Constant(codes.astype(parameters.type))


def _axis(op: Operator, rank: int, parameters: Parameters, shape: tuple[int, ...]) -> int:
    axis = op.integer("axis", 1)
    if parameters.single:
        return 0
    if not -rank <= axis < rank:
        raise ValueError(f"axis must be from {-rank} to {rank - 1}, not {axis}")
    axis %= rank
    if shape[axis] != parameters.scale.size:
        raise ValueError(f"scale must have {shape[axis]} elements, one per channel, not {parameters.scale.size}")
    return axis
