"""`GraphBuilder`: the integer `Graph` while it grows, with the checks that hold for every layer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from emulator.arithmetic import Arithmetic
from emulator.graph import Codes, Node, Tensor

from .sizes import check_elements

AnyNode = TypeVar("AnyNode", bound=Node)


class GraphBuilder:
    """Collects inputs and layers.

    copies : input that a second quantizer rounds otherwise → the model's own input that it is
    orders : vector → stored shape of the feature map it was flattened from, where its stored order (channels last) is
    not the file's (channels first)
    reordered : such a vector → a copy of it in the file's order, once there is one
    turned : sequence → the one with length and channels exchanged, once there is one
    bias_errors : convolution or linear layer → how far rounding its float bias can move a result, in codes
    quotients : table → what it rounds for each code, smallest first
    channel_scales : tensor whose channels have scales of their own → these; its own scale is the largest of them
    second_roundings : table of sums that a file does not round → their layer, scale and zero point, and the error that
        this rounding can make, in codes (it counts in bias_errors too)
    tables : layer → the lookup table that the file ships for it
    rounded : what `rounding` has made of real numbers so far, by their identity and the target
    """

    def __init__(self, arithmetic: Arithmetic, tables: Mapping[str, Codes]) -> None:
        self.arithmetic = arithmetic
        self.tables = tables
        self.inputs: dict[str, Tensor] = {}
        self.copies: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.orders: dict[str, tuple[int, ...]] = {}
        self.reordered: dict[str, Tensor] = {}
        self.turned: dict[str, Tensor] = {}
        self.bias_errors: dict[str, float] = {}
        self.quotients: dict[str, list[float]] = {}
        self.channel_scales: dict[str, list[float]] = {}
        self.second_roundings: dict[str, dict[str, Any]] = {}
        # The value keeps the object alive, so that its identity stays its own.
        self.rounded: dict[tuple[int, object], tuple[object, Tensor]] = {}
        self._names: dict[str, int] = {}  # name → the last number behind it that was tried

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take back all that was added inside where it ends in a ``ValueError``, which passes."""
        sizes = self._sizes()
        try:
            yield
        except ValueError:
            self._shrink(sizes)
            raise

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Take back all that was added inside: for what one only wants to know."""
        sizes = self._sizes()
        try:
            yield
        finally:
            self._shrink(sizes)

    def _sizes(self) -> dict[str, int]:
        return {name: len(value) for name, value in vars(self).items() if isinstance(value, dict | list)}

    def _shrink(self, sizes: Mapping[str, int]) -> None:
        # All of these only grow, and dictionaries keep the order in which they do: no copy is needed.
        for name, size in sizes.items():
            grown: dict[Any, Any] | list[Any] = getattr(self, name)
            while len(grown) > size:
                grown.popitem() if isinstance(grown, dict) else grown.pop()

    def reserve(self, name: str) -> None:
        """Keep layers from taking `name`."""
        self._names[name] = 0

    def unique(self, wanted: str) -> str:
        """`wanted`, with a number behind it if the name is taken; it is taken from then on."""
        name = wanted
        while name in self._names:
            self._names[wanted] += 1
            name = f"{wanted}_{self._names[wanted]}"
        self._names[name] = 0
        return name

    def add(self, node: AnyNode) -> AnyNode:
        """Append a layer after checking its size, its zero point and its legal codes."""
        self.check(node)
        self.nodes.append(node)
        return node

    def node(self, name: str) -> Node | None:
        """The layer of that name, None where there is none."""
        return next((node for node in reversed(self.nodes) if node.name == name), None)

    def keep(self, shown: Collection[str]) -> None:
        """Drop layers on which neither the tensors `shown` nor other layers depend: moves in front of the host."""
        read = set(shown)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node.name in read:
                read |= set(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]

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

    def ordered_as(self, node: AnyNode, model: Tensor) -> AnyNode:
        """Note that `node` is stored in the order of `model`."""
        if model.name in self.orders:
            self.orders[node.name] = self.orders[model.name]
        return node
