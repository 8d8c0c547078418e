"""`Environment`: what the tensors of a file stand for while its operators are read, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import ConstantTensor, Node, Tensor

from ..reading.graph_builder import AnyNode, GraphBuilder
from ..reading.sizes import check_elements
from ..reading.values import Target
from .file import FileTensor, TfliteFile
from .operator import Operator
from .ranges import activation_range
from .tail import Array, Step, TailBuilder

CODE_TYPES = ("int8", "uint8")
# What all operators of a file together may take beside the file's own data: 512 MiB and some seconds.
LIMITS = {"positions of average pools": 1 << 25, "pieces that tensors are taken to": 1 << 17}


def check_without_data(found: FileTensor) -> None:
    """Raise ``ValueError`` if a tensor that is an input or made by an operator is a constant, too."""
    if found.data is not None:
        raise ValueError(f"{found} has data in the file, which only a constant may")


class Environment:
    """Codes, constants and host values by the index of their tensor.

    batch : size of the batch axis in the file; a tensor whose first size is another one has none, and all of it is one
        sample, which needs a batch of 1
    made : tensor → the codes that the graph has of it
    holders : layer → the file's tensor whose codes it has
    tail : what the host computes behind the codes
    """

    def __init__(self, file: TfliteFile, builder: GraphBuilder, batch: int) -> None:
        self.file = file
        self.builder = builder
        self.batch = batch
        self.made: dict[int, Tensor] = {}
        self.holders: dict[str, str] = {}
        self.tail = TailBuilder()
        self._taken = dict.fromkeys(LIMITS, 0)
        self._arranged: dict[tuple[int, str], NDArray[np.int8]] = {}

    @property
    def tflm(self) -> bool:
        """Whether TFLM's own integers hold where the contract's differ (contract, section 11)."""
        return self.builder.arithmetic.is_tflm

    def take(self, what: str, count: int) -> None:
        """Count what an operator takes, one of `LIMITS`; ``ValueError`` where it is too much with those before it."""
        self._taken[what] += count
        if self._taken[what] > LIMITS[what]:
            raise ValueError(f"the {what} must be at most {LIMITS[what]} in all of the file")

    def arranged(self, tensor: int, order: str, make: Callable[[], NDArray[np.int8]]) -> NDArray[np.int8]:
        """A constant's codes in another order, made once however many operators read them."""
        if (tensor, order) not in self._arranged:
            self._arranged[tensor, order] = make()
        return self._arranged[tensor, order]

    def file_tensor(self, op: Operator, index: int) -> FileTensor:
        """Input `index`; ``ValueError`` if the operator has no such input."""
        if index >= len(op.inputs) or op.inputs[index] < 0:
            raise ValueError(f"input {index} must not be left out")
        return self.file.tensors[op.inputs[index]]

    def has(self, op: Operator, index: int) -> bool:
        """Whether the operator has input `index`."""
        return index < len(op.inputs) and op.inputs[index] >= 0

    def operand(self, op: Operator, index: int) -> Tensor:
        """Codes of input `index`; a constant is put into the graph."""
        found = self.file_tensor(op, index)
        if found.index in self.made:
            return self.made[found.index]
        if found.data is None:
            raise ValueError(f"{found} is neither a constant nor made by an operator before it")
        scale, zero_point = self.quantization(found)
        codes = self.codes(found).reshape(self.sample_shape(found, constant=True))
        self.file.accessors.charge_walk(codes.size)
        low, high = self.builder.arithmetic.activation_range
        if codes.min() < low or codes.max() > high:
            raise ValueError(f"{found} must have codes from {low} to {high}, not {codes.min()} to {codes.max()}")
        tensor = self.builder.add(
            ConstantTensor(
                name=self.builder.unique(found.name),
                shape=codes.shape,
                scale=scale,
                zero_point=zero_point,
                y_min=int(codes.min()),
                y_max=int(codes.max()),
                inputs=(),
                codes=codes,
            )
        )
        self.made[found.index] = tensor
        return tensor

    def constant(self, op: Operator, index: int) -> NDArray[Any]:
        """Values of input `index`, which must be a constant."""
        found = self.file_tensor(op, index)
        if found.data is None and 0 not in found.shape:
            raise ValueError(f"{found} must be a constant")
        return found.values

    def integers(self, op: Operator, index: int, most: int = 8) -> list[int]:
        """A constant vector of at most so many integers, or one integer."""
        values = self.constant(op, index)
        if values.dtype.kind not in "iu" or values.size > most:
            kind = f"{values.dtype} of shape {values.shape}"
            raise ValueError(f"{self.file_tensor(op, index)} must be at most {most} integers, not {kind}")
        return [int(value) for value in values.reshape(-1)]

    def codes(self, found: FileTensor) -> NDArray[np.int8]:
        """A constant's int8 codes; those of uint8 less 128."""
        if found.type not in (*CODE_TYPES, "int4"):
            raise ValueError(f"{found} must be int8, uint8 or int4, not {found.type}")
        if found.type == "uint8":
            return self.arranged(found.index, "signed", lambda: (found.values ^ np.uint8(0x80)).view(np.int8))
        return self.arranged(found.index, "codes", lambda: found.values.astype(np.int8, copy=False))

    @staticmethod
    def quantization(found: FileTensor) -> tuple[float, int]:
        """(scale, zero point as a signed code) of activations; ``ValueError`` unless there is exactly one of each."""
        if found.type not in CODE_TYPES:
            raise ValueError(
                f"{found} must be int8 or uint8, not {found.type}; convert with full integer quantization (a "
                "representative dataset and supported_ops TFLITE_BUILTINS_INT8)"
            )
        if found.scale.size != 1 or found.zero_point.size > 1:
            raise ValueError(f"{found} must have one scale and one zero point, not {found.scale.size}")
        scale = float(found.scale[0])
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"{found} must have a positive finite scale, not {scale}")
        zero_point = (int(found.zero_point[0]) if found.zero_point.size else 0) - 128 * (found.type == "uint8")
        if not -128 <= zero_point <= 127:
            raise ValueError(f"{found} must have one of its codes as zero point, not {found.zero_point[0]}")
        return scale, zero_point

    def sample_shape(self, found: FileTensor, constant: bool = False) -> tuple[int, ...]:
        """A tensor's stored shape, without its batch axis where it has one."""
        if 0 in found.shape:
            raise ValueError(f"{found} must not be empty, as {found.shape} is")
        check_elements(found.shape, str(found))
        if constant:
            return (found.shape[1:] if len(found.shape) > 1 and found.shape[0] == 1 else found.shape) or (1,)
        if self.has_batch(found):
            return found.shape[1:] or (1,)
        if self.batch != 1:
            raise ValueError(f"{found} must keep the batch of {self.batch} as its first axis, not be {found.shape}")
        return found.shape or (1,)

    def has_batch(self, found: FileTensor) -> bool:
        """Whether the first axis is the batch."""
        return bool(found.shape) and found.shape[0] == self.batch

    def axis(self, found: FileTensor, axis: int) -> int:
        """Axis of the stored shape, from 0, for one of the file's; ``ValueError`` for the batch's or none."""
        rank = len(found.shape)
        if not -rank <= axis < rank:
            raise ValueError(f"axis must be from {-rank} to {rank - 1}, not {axis}")
        place = axis % rank - self.has_batch(found)
        if place < 0:
            raise ValueError(f"axis must not be the batch's, as {axis} is")
        return place

    def map_operand(self, op: Operator, index: int) -> Tensor:
        """`operand` that must be (batch, height, width, channels)."""
        x, found = self.operand(op, index), self.file_tensor(op, index)
        if len(found.shape) != 4 or len(x.shape) != 3:
            raise ValueError(f"{found} must be (batch, height, width, channels), not {found.shape}")
        return x

    def output(self, op: Operator, index: int = 0) -> FileTensor:
        """The tensor of the file that the operator makes."""
        if index >= len(op.made) or op.made[index] < 0:
            raise ValueError(f"output {index} must not be left out")
        return self.file.tensors[op.made[index]]

    def target(self, op: Operator, activation: str = "NONE", index: int = 0) -> Target:
        """Scale, zero point and legal codes of what the operator makes."""
        found = self.output(op, index)
        scale, zero_point = self.quantization(found)
        return Target(scale, zero_point, *activation_range(activation, scale, zero_point, self.builder.arithmetic))

    def hosted(self, op: Operator, shape: tuple[int, ...], compute: Callable[[Array], Array]) -> None:
        """Note that the host makes output 0 of input 0; shape : what it makes, with the batch axis."""
        found = self.output(op)
        if found.shape != shape:
            raise ValueError(f"the file gives {found} the shape {found.shape}, and the operator makes {shape}")
        check_without_data(found)
        if found.index in self.made:
            raise ValueError(f"{found} is made twice")
        self.tail.add(Step(str(op), (op.inputs[0],), found.index, compute))

    def label(self, op: Operator, part: str = "", index: int = 0) -> str:
        """A layer's name: that of the tensor it makes, with `/part` behind it for a step on the way."""
        return self.builder.unique(self.output(op, index).name + (f"/{part}" if part else ""))

    def put(self, op: Operator, tensor: Tensor, index: int = 0) -> None:
        """Note that `tensor` has the codes of output `index`, whose shape and quantization it must have."""
        found = self.output(op, index)
        shape = self.sample_shape(found)
        if shape != tensor.shape:
            raise ValueError(f"the file gives {found} the shape {found.shape}, which the operator does not make")
        if found.index in self.made:
            raise ValueError(f"{found} is made twice")
        check_without_data(found)
        self.made[found.index] = tensor
        if isinstance(tensor, Node):
            self.holders.setdefault(tensor.name, found.name)

    def add(self, op: Operator, node: AnyNode) -> AnyNode:
        """Append a layer that makes output 0."""
        self.put(op, self.builder.add(node))
        return node
