"""The tail: what the file computes behind the last codes, and the accelerator's outputs that it is computed of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ValueInfoProto

from emulator.graph import Tensor, logical_shape

from ...reading.constants import Constant, QuantizedConstant
from ...reading.errors import located
from ...reading.moves.rearrange import in_logical_order
from ...reading.products.weighted import WeightedSource
from ...reading.rounding import operand
from ...reading.values import Codes, Dequantized, Real
from ..code_types import CODE_TYPES
from ..environment import Environment
from ..file import OnnxFile
from ..operator import Operator
from ..tensor import DTYPES
from ..values import AnyValue, Hosted, Refused
from .head import feed
from .part import CodesForm, Form, OnnxPart, RealForm, SumsForm
from .runtime import function
from .submodel import Part, float_cut, makers, part_behind, submodel

# Layers with weights: behind a quantizer they are the accelerator's, and so what stands before is no tail.
PRODUCTS = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "ConvInteger", "MatMulInteger"])


class Tail:
    """What the host computes behind the accelerator.

    operators : those of the file, each behind those that it reads
    outputs : the accelerator's, {ONNX tensor name: tensor}; `part` finds them
    """

    def __init__(self, file: OnnxFile, operators: Sequence[Operator], env: Environment) -> None:
        self.file = file
        self.operators = operators
        self.makers = makers(operators)
        self.env = env
        self.outputs: dict[str, Tensor] = {}
        self.forms: dict[str, Form] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def part(self, wanted: Sequence[str]) -> tuple[OnnxPart | None, list[Refused]]:
        """(what makes the model's outputs `wanted` of the accelerator's, what stands in the way).

        None: nothing is to be computed, and `outputs` are the model's outputs as codes. The second is empty where the
        first is a part.
        """
        constants = {name: _array(self.env.any_value(name)) for name in wanted}
        found = part_behind(
            [name for name in wanted if constants[name] is None], self.operators, self.makers, self._cut
        )
        for name in found.leaves:
            self._cut(name)  # also where an output is an input
        refused = self._in_the_way(found)
        if refused or not (found.operators or any(self._is_own(name) for name in wanted)):
            return None, refused
        own = {value.name: value for value in self.file.inputs}
        reads = tuple(name for name in found.leaves if name in own and name not in self.outputs)
        cuts = {name: self._declared(name) for name in self.outputs}
        with located(" and ".join(map(str, found.operators[:1])) or "graph output"):
            made = [name for name in wanted if name not in found.leaves and constants[name] is None]
            model = submodel(self.file, found, made, cuts, self.env.batch).model.SerializeToString() if made else b""
            if model:
                function(model)
            feeds = {name: feed(own[name]) for name in reads}
        inputs = (*self.outputs, *reads)
        same = {name: array for name, array in constants.items() if array is not None}
        return OnnxPart(inputs, tuple(wanted), model, feeds, self.forms, same, batch=self.env.batch), []

    def _is_own(self, name: str) -> bool:
        """Whether the model's output is not the graph's: uint8 codes, sums, or an input of the model."""
        form = self.forms.get(name)
        return form is None or isinstance(form, SumsForm) or (isinstance(form, CodesForm) and form.type == np.uint8)

    def _cut(self, name: str) -> bool:
        """Whether the accelerator makes a tensor, as codes or sums; then it is one of its outputs."""
        if name in self.outputs:
            return True
        value, builder = self.env.values.get(name), self.env.builder
        if isinstance(value, Codes):
            kind = value.type
            self._show(name, in_logical_order(builder, value.tensor), CodesForm(kind, CODE_TYPES[kind][2]))
            return True
        if not isinstance(value, Real) or (not isinstance(value.source, Dequantized) and value.source.is_input):
            return False
        if value.exact() is not None:
            try:
                with builder.attempt():
                    tensor = in_logical_order(builder, operand(builder, value))
            except ValueError:
                return False
            self._show(name, tensor, RealForm(tensor.scale, tensor.zero_point, self._type(name)))
            return True
        if value.bare and isinstance(value.source, WeightedSource):
            with located(str(value.source.operator)):
                sums = value.source.sums(builder, builder.unique(value.source.operator.label))
            if sums is None:
                return False
            shape = logical_shape(sums.tensor.shape)
            self._show(name, sums.tensor, SumsForm(sums.scale, sums.offset, sums.turned, self._type(name)))
            self.shapes[name] = shape[::-1] if sums.turned else shape
            return True
        return False

    def _show(self, name: str, tensor: Tensor, form: Form) -> None:
        self.outputs[name] = tensor
        self.forms[name] = form
        self.shapes[name] = logical_shape(tensor.shape)

    def _declared(self, name: str) -> ValueInfoProto:
        return float_cut(name, self.forms[name].type, self.shapes[name])

    def _type(self, name: str) -> np.dtype[Any]:
        """The element type that the file has for numbers of a layer, which is that of the layer's first input."""
        while name in self.makers:
            op = self.operators[self.makers[name]]
            if op.type in ("ConvInteger", "MatMulInteger"):
                return np.dtype(np.int32)
            if op.type in ("com.microsoft.QGemm", "com.microsoft.MatMulIntegerToFloat"):
                break
            to = op.integer("to" if op.type == "Cast" else "output_dtype", 0)
            if to in DTYPES:
                return DTYPES[to]
            name = op.input(1 if op.type.endswith("DequantizeLinear") else 0)
        value = self.env.values.get(name)
        found = value.values.dtype if isinstance(value, Constant) else None
        return found if found in (np.float16, np.float64) else np.dtype(np.float32)

    def _in_the_way(self, part: Part) -> list[Refused]:
        """The refused operators because of which a part is no tail.

        A tail may quantize again, where the accelerator lacks an operator, but no layer with weights may follow; and
        the host computes what the accelerator lacks, not what is wrong.
        """
        values = [self.env.values.get(op.output) for op in part.operators]
        refused = [v for op, v in zip(part.operators, values, strict=True) if isinstance(v, Refused) and v.root is op]
        rounded: set[str] = set()
        for op in part.operators:
            constant = not any(isinstance(self.env.values.get(name), Real | Refused | Hosted) for name in op.reads)
            if op.type.endswith("QuantizeLinear") and not op.type.endswith("DequantizeLinear") and not constant:
                rounded |= set(op.outputs)
            elif rounded.intersection(op.reads):
                rounded |= set(op.outputs)
                if op.type in PRODUCTS or ".Q" in op.type or op.type.startswith("QLinear"):
                    return refused
        if rounded:
            return refused if any(not value.foreign for value in refused) else []
        return refused if any(not value.hostable for value in refused) else []


def _array(value: AnyValue) -> NDArray[Any] | None:
    """A constant's array."""
    if isinstance(value, QuantizedConstant):
        return value.real
    return value.values if isinstance(value, Constant) else None
