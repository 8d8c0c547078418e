"""`TfliteWriter`: a TFLite graph of int8 codes while it grows, one sample a batch, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.tflite.writer import FileOperator, FileTensor, tflite_file

from ..integers.tensor import QuantizedTensor
from .clamps import fused_activation

VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "HARD_SWISH": 1, "RESHAPE": 1, "SPACE_TO_DEPTH": 1,
}  # fmt: skip
"""Of the operators on int8; those of all others are 2."""


class TfliteWriter:
    """Collects tensors and operators.

    codes : layer or input → tensor with its codes: a map (1, height, width, channels), a sequence
    (1, 1, length, channels), a vector (1, length), that of a flattened map in the map's stored order
    """

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self._tensors: dict[str, FileTensor] = {}
        self._operators: list[FileOperator] = []

    def tensor(self, name: str, shape: Sequence[int], y: QuantizedTensor) -> str:
        """Add a tensor of codes with the scale and zero point of `y`; returns its name."""
        scale = y.scale.detach().cpu().numpy()
        return self._add(FileTensor(name, tuple(shape), scale=scale, zero_point=y.zero_point))

    def constant(self, name: str, data: NDArray[Any], scale: Any = None, zero_point: Any = 0, axis: int = 0) -> str:
        """Add a constant of its data's type; returns its name. axis : of scales per channel"""
        kind = str(data.dtype)
        return self._add(FileTensor(name, data.shape, kind, scale, zero_point, np.ascontiguousarray(data), axis))

    def operator(self, code: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        """Add an operator; returns `output`."""
        self._operators.append(FileOperator(code, [*inputs], [output], options, VERSIONS.get(code, 2)))
        return output

    def put(self, layer: str, code: str, inputs: Sequence[str], y: QuantizedTensor, **options: Any) -> None:
        """Add the operator that makes a layer's codes; its clamp is the operator's own."""
        self.codes[layer] = self.operator(code, inputs, self.tensor(layer, file_shape(y), y), **options)

    def put_clamped(self, layer: str, code: str, inputs: Sequence[str], y: QuantizedTensor, **options: Any) -> None:
        """`put` for an operator that can have an activation function; a clamp that is none stands behind it."""
        activation = fused_activation(y)
        if activation is not None:
            self.put(layer, code, inputs, y, FusedActivationFunction=activation, **options)
        else:
            self.put_clamp(layer, self.operator(code, inputs, self.unclamped(layer, y), **options), y)

    def unclamped(self, layer: str, y: QuantizedTensor) -> str:
        """Add the tensor in front of a layer's `put_clamp`, which is the layer's own where that does nothing."""
        return self.tensor(layer if (y.y_min, y.y_max) == (-128, 127) else f"{layer}/unclamped", file_shape(y), y)

    def put_clamp(self, layer: str, tensor: str, y: QuantizedTensor) -> None:
        """Bring the codes of `tensor`, of the scale and zero point of `y`, into its legal range."""
        bounds = [("MAXIMUM", y.y_min)] * (y.y_min > -128) + [("MINIMUM", y.y_max)] * (y.y_max < 127)
        scale = y.scale.detach().cpu().numpy()
        for number, (code, bound) in enumerate(bounds):
            name = layer if number == len(bounds) - 1 else f"{layer}/{code.lower()}"
            limit = self.constant(f"{layer}/{code.lower()}_of", np.array([bound], np.int8), scale, y.zero_point)
            tensor = self.operator(code, [tensor, limit], self.tensor(name, file_shape(y), y))
        self.codes[layer] = tensor

    def moved(
        self, name: str, code: str, tensor: str, shape: Sequence[int], *operands: NDArray[Any], **options: Any
    ) -> str:
        """Codes of `tensor` in another shape or order; operands : the operator's other inputs, constants."""
        constants = [self.constant(f"{name}/{code.lower()}_{i}", data) for i, data in enumerate(operands)]
        made = self._add(replace(self._tensors[tensor], name=name, shape=tuple(shape)))
        return self.operator(code, [tensor, *constants], made, **options)

    def framed(
        self, name: str, tensor: str, shape: Sequence[int], pads: NDArray[np.int32], code: NDArray[np.int8]
    ) -> str:
        """The codes with positions of one code around them (PADV2)."""
        made = self._add(replace(self._tensors[tensor], name=name, shape=tuple(shape)))
        like = self._tensors[tensor]
        operands = self.constant(f"{name}/pads", pads), self.constant(f"{name}/code", code, like.scale, like.zero_point)
        return self.operator("PADV2", [tensor, *operands], made)

    def reshaped(self, name: str, tensor: str, shape: Sequence[int]) -> str:
        """The codes under another shape, itself where it has it."""
        if self.shape(tensor) == tuple(shape):
            return tensor
        return self.moved(name, "RESHAPE", tensor, shape, np.array(shape, np.int32), NewShape=[*map(int, shape)])

    def transposed(self, name: str, tensor: str, axes: Sequence[int]) -> str:
        """The codes in the order in which axis i is the tensor's axis ``axes[i]``; a mere reshape where that is one."""
        old = self.shape(tensor)
        shape = [old[axis] for axis in axes]
        moving = [axis for axis in axes if old[axis] > 1]
        if moving == sorted(moving):
            return self.reshaped(name, tensor, shape)
        return self.moved(name, "TRANSPOSE", tensor, shape, np.array(axes, np.int32))

    def sliced(
        self, name: str, tensor: str, begin: Sequence[int], end: Sequence[int], strides: Sequence[int] | None = None
    ) -> str:
        """The codes from `begin` to before `end` in each axis, itself where those are all of them."""
        steps = [1] * len(begin) if strides is None else strides
        shape = [len(range(*place)) for place in zip(begin, end, steps, strict=True)]
        if tuple(shape) == self.shape(tensor):
            return tensor
        operands = (np.array(values, np.int32) for values in (begin, end, steps))
        return self.moved(name, "STRIDED_SLICE", tensor, shape, *operands)

    def logical(self, source: str, x: QuantizedTensor, reader: str) -> str:
        """The codes of the layer `source`, those of a flattened map in torch's order."""
        tensor = self.codes[source]
        if x.map_shape is None:
            return tensor
        channels, *size = x.map_shape
        shape = (1, *(1, *size)[-2:], channels)
        turned = self.transposed(f"{reader}/turned", self.reshaped(f"{reader}/map", tensor, shape), (0, 3, 1, 2))
        return self.reshaped(f"{reader}/vector", turned, file_shape(x))

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Of a tensor, with the batch axis."""
        return tuple(self._tensors[tensor].shape)

    def file(self, inputs: Sequence[str], outputs: dict[str, str]) -> bytes:
        """The whole file; inputs : their names; outputs : {name that the file shows: tensor}."""
        names: dict[str, str] = {}
        for name, tensor in outputs.items():
            if tensor in names or tensor in inputs:  # shown twice, or as it came
                tensor = self.moved(
                    f"{name}/shown", "RESHAPE", tensor, self.shape(tensor), np.array(self.shape(tensor), np.int32)
                )
            names[tensor] = name
        for tensor in self._tensors:
            if tensor in outputs and tensor not in names:
                names[tensor] = f"{tensor}/codes"  # a layer that is called as a result is
        tensors = [replace(tensor, name=names.get(name, name)) for name, tensor in self._tensors.items()]

        def renamed(operator: FileOperator) -> FileOperator:
            reads, makes = ([names.get(name, name) for name in part] for part in (operator.inputs, operator.outputs))
            return replace(operator, inputs=reads, outputs=makes)

        operators = [renamed(operator) for operator in self._operators]
        return tflite_file(tensors, operators, inputs, [*outputs])

    def _add(self, tensor: FileTensor) -> str:
        name, number = tensor.name, 0
        while name in self._tensors:
            number += 1
            name = f"{tensor.name}_{number}"
        self._tensors[name] = replace(tensor, name=name)
        return name


def file_shape(y: QuantizedTensor) -> tuple[int, ...]:
    """Of the codes in the file, with a batch of 1."""
    return stored_axes(tuple(y.centered.shape[1:]))


def stored_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(1, …, channels) of a logical shape (channels, …), both of one sample."""
    if len(shape) > 3:
        raise ValueError(f"a tensor must have at most 3 axes behind the batch's, not {shape}: reshape it to fewer")
    return (1, *shape) if len(shape) == 1 else (1, *(1, *shape[1:])[-2:], shape[0])


def file_axis(axis: int, rank: int) -> int:
    """The file's axis of a logical axis of a sample with so many axes behind the batch's."""
    if rank == 1:
        return axis
    return 3 if axis == 1 else axis - 1 + (rank == 2)
