"""`GraphBuilder`: the integer `Graph` while it grows, with the checks that hold for every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from emulator.arithmetic import Arithmetic
from emulator.graph import Codes, Node, Rescale, Tensor
from emulator.multiplier import quantize_multiplier
from emulator.quantize import quantize

from .errors import located
from .onnx_tensor import check_elements
from .operator_node import Operator
from .values import Dequantized, Move, Real, Target

AnyNode = TypeVar("AnyNode", bound=Node)


class GraphBuilder:
    """Collects inputs and layers.

    orders : vector → stored shape of the feature map it was flattened from, where its stored order (channels last) is
    not the file's (channels first)
    reordered : such a vector → a copy of it in the file's order, once there is one
    turned : sequence → the one with length and channels exchanged, once there is one
    bias_errors : convolution or linear layer → how far rounding its float bias can move a result, in codes
    tables : layer → the lookup table that the file ships for it
    """

    def __init__(self, arithmetic: Arithmetic, tables: Mapping[str, Codes]) -> None:
        self.arithmetic = arithmetic
        self.tables = tables
        self.inputs: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.orders: dict[str, tuple[int, ...]] = {}
        self.reordered: dict[str, Tensor] = {}
        self.turned: dict[str, Tensor] = {}
        self.bias_errors: dict[str, float] = {}
        self._names: set[str] = set()
        # By identity; the value keeps the object alive, so that its identity stays its own.
        self._operands: dict[int, tuple[Real, Tensor]] = {}
        self._quantized: dict[tuple[int, Target], tuple[Real, Tensor]] = {}

    def reserve(self, name: str) -> None:
        """Keep layers from taking `name`."""
        self._names.add(name)

    def unique(self, wanted: str) -> str:
        """`wanted`, with a number behind it if the name is taken; it is taken from then on."""
        name, number = wanted, 0
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    def add(self, node: AnyNode) -> AnyNode:
        """Append a layer after checking its size, its zero point and its legal codes."""
        self.check(node)
        self.nodes.append(node)
        return node

    def check(self, tensor: Tensor) -> None:
        """Raise ``ValueError`` unless the tensor's size and codes are legal in this arithmetic."""
        check_elements(tensor.shape, f"tensor {tensor.name!r}")
        low, high = self.arithmetic.activation_range
        if not low <= tensor.zero_point <= high:
            raise ValueError(f"zero point must be from {low} to {high}, not {tensor.zero_point}")
        if not low <= tensor.y_min <= tensor.y_max <= high:
            raise ValueError(
                f"codes must be from {low} to {high} (activation_bits = {self.arithmetic.activation_bits}), "
                f"not from {tensor.y_min} to {tensor.y_max}; a Clip can narrow them"
            )

    def operand(self, real: Real) -> Tensor:
        """The codes that `real` stands for; ``ValueError`` if no QuantizeLinear rounded it."""
        source, exact = real.source, real.exact()
        if exact is None:
            waiting = real.clamps[-1] if isinstance(source, Dequantized) else source.operator
            raise ValueError(f"reads the unrounded result of {waiting}; a QuantizeLinear must stand between")
        if id(real) not in self._operands:
            if isinstance(source, Dequantized):
                tensor = source.tensor
            else:
                with located(str(source.operator)):
                    tensor = source.emit(self, self.unique(source.operator.label), exact)
            for move in real.moves:
                tensor = self._moved(move, tensor, self.unique(move.operator.label))
            self._operands[id(real)] = real, tensor
        return self._operands[id(real)][1]

    def quantize(self, real: Real, quantizer: Operator, scale: float, zero_point: int, low: int, high: int) -> Tensor:
        """The tensor that `quantizer` makes of `real`: one rounding at the source, then the moves.

        low, high : the codes of the QuantizeLinear's type
        """
        last = real.last
        label = quantizer.label if last is None else last.name or quantizer.output
        return self.rounded(real, label, quantizer, Target(scale, zero_point, low, high))

    def rounded(self, real: Real, name: str, place: Operator, target: Target) -> Tensor:
        """`real` in the codes of `target`, in a layer called `name`; `place` asks for it."""
        limits = target.y_min, target.y_max
        bounds = [int(quantize(bound, target.scale, target.zero_point, *limits)) for bound in (real.low, real.high)]
        target = Target(target.scale, target.zero_point, *bounds)
        key = (id(real), target)
        if key not in self._quantized:
            self._quantized[key] = real, self._layers(real, name, place, target)
        return self._quantized[key][1]

    def _layers(self, real: Real, name: str, place: Operator, target: Target) -> Tensor:
        source = real.source
        rescales = isinstance(source, Dequantized) and not self._keeps(source.tensor, target)
        wanted = [] if isinstance(source, Dequantized) or source.is_input else [source.operator.label]
        wanted += [move.operator.label for move in real.moves] + [name] * rescales
        final = [self.unique(name)] if wanted else []
        names = iter([self.unique(f"{label}/codes" if label == name else label) for label in wanted[:-1]] + final)
        if isinstance(source, Dequantized):
            tensor = source.tensor
        else:
            with located(str(source.operator)):
                tensor = source.emit(self, source.operator.name if source.is_input else next(names), target)
        for move in real.moves:
            tensor = self._moved(move, tensor, next(names))
        if rescales:
            # Last, because behind a max pool there are fewer codes to rescale.
            with located(str(real.clamps[-1] if real.clamps else place)):
                tensor = self._rescaled(tensor, next(names), target)
        return tensor

    def ordered_as(self, node: AnyNode, model: Tensor) -> AnyNode:
        """Note that `node` is stored in the order of `model`."""
        if model.name in self.orders:
            self.orders[node.name] = self.orders[model.name]
        return node

    @staticmethod
    def _keeps(tensor: Tensor, target: Target) -> bool:
        """Whether every legal code of `tensor` is its own result under `target`."""
        same = tensor.scale == target.scale and tensor.zero_point == target.zero_point
        return same and target.y_min <= tensor.y_min and tensor.y_max <= target.y_max

    def _rescaled(self, tensor: Tensor, name: str, target: Target) -> Tensor:
        if (tensor.scale, tensor.zero_point) == (target.scale, target.zero_point):
            # Only a clamp: what it leaves are its operand's codes, so a bound beyond those is none.
            bounds = (min(max(code, target.y_min), target.y_max) for code in (tensor.y_min, tensor.y_max))
            target = Target(target.scale, target.zero_point, *bounds)
        multiplier, shift = quantize_multiplier(tensor.scale / target.scale, self.arithmetic)
        node = Rescale(
            name=name,
            shape=tensor.shape,
            **vars(target),
            inputs=(tensor.name,),
            multiplier=multiplier,
            shift=shift,
        )
        return self.ordered_as(self.add(node), tensor)

    def _moved(self, move: Move, tensor: Tensor, name: str) -> Tensor:
        with located(str(move.operator)):
            return move.apply(self, tensor, name)
