"""Norms that a file has in steps: mean, difference, square, mean, epsilon, root, quotient, scale, bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from ....reading.constants import Constant
from ...environment import Environment
from ...operator import Operator
from ..constant import lower_constant


@dataclass(frozen=True, eq=False)
class NormSteps(Operator):
    """A LayerNormalization or RMSNormalization in steps.

    last : the step whose output is the norm's
    """

    last: Operator = field(kw_only=True)


def with_norms(
    env: Environment, operators: Sequence[Operator], readers: Mapping[str, Sequence[Operator]]
) -> list[Operator]:
    """The operators with each norm in steps as one operator in the place of its last step.

    operators : each behind those that it reads; readers : tensor → who reads it, graph outputs left out

    Only steps that nothing else reads are taken, so that a quantizer between any two of them keeps them apart.
    """
    found = _Steps(env, operators, readers)
    norms = [norm for op in operators if op.type == "Sqrt" and (norm := found.norm(op)) is not None]
    taken = {id(step) for _, steps in norms for step in steps}
    made = {id(norm.last): norm for norm, _ in norms}
    return [made.get(id(op), op) for op in operators if id(op) in made or id(op) not in taken]


class _Steps:
    def __init__(
        self, env: Environment, operators: Sequence[Operator], readers: Mapping[str, Sequence[Operator]]
    ) -> None:
        self.env, self.readers = env, readers
        self.makers = {name: op for op in operators for name in op.outputs}
        self.constants = set(env.initializers)
        for op in operators:
            if self.constants.issuperset(op.reads):
                self.constants.update(op.outputs)

    def norm(self, root: Operator) -> tuple[NormSteps, list[Operator]] | None:
        """The norm with this Sqrt, and its steps; None where it is none."""
        added = self.made(root.input(0), "Add")
        mean = None if added is None else self.made(self.other(added), "ReduceMean")
        squared = None if mean is None else self.made(mean.input(0), "Pow", "Mul")
        if added is None or mean is None or squared is None:
            return None
        x = squared.input(0)
        exponent = self.number(squared.input(1))
        axis, epsilon = self.axis(mean), self.number(self.constant(added))
        if not (exponent == 2 if squared.type == "Pow" else squared.input(1) == x) or axis is None or epsilon is None:
            return None
        steps, centered = [added, mean, squared, root], False
        difference = self.makers.get(x)
        if difference is not None and difference.type == "Sub":
            first = self.made(difference.input(1), "ReduceMean")
            if first is not None and first.input(0) == difference.input(0) and self.axis(first) == axis:
                steps, centered, x = [*steps, first, difference], True, difference.input(0)
        unit = self.unit(root, squared.input(0), steps)
        if unit is None:
            return None
        last, scale, bias = unit, "", ""
        if (step := self.behind(last, "Mul")) is not None:
            last, scale = step, self.constant(step)
            steps.append(step)
        if (step := self.behind(last, "Add")) is not None:
            last, bias = step, self.constant(step)
            steps.append(step)
        if not self.read_only_by(steps, last):
            return None
        attributes = {"axis": helper.make_attribute("axis", axis), "epsilon": helper.make_attribute("epsilon", epsilon)}
        kind = "LayerNormalization" if centered else "RMSNormalization"
        return NormSteps(last.name, kind, last.outputs, (x, scale, bias), attributes, last=last), steps

    def unit(self, root: Operator, numerator: str, steps: list[Operator]) -> Operator | None:
        """The step that divides by the root, which is added to `steps`."""
        step = self.only_reader(root)
        if step is None:
            return None
        if step.type == "Div" and step.inputs == (numerator, root.output):
            steps.append(step)
            return step
        if step.type == "Reciprocal" or (step.type == "Div" and self.number(step.input(0)) == 1):
            product = self.only_reader(step)
            if product is not None and product.type == "Mul" and set(product.inputs) == {numerator, step.output}:
                steps += [step, product]
                return product
        return None

    def read_only_by(self, steps: Sequence[Operator], last: Operator) -> bool:
        """Whether none but the steps read what they make, apart from the last one."""
        inner = {id(step) for step in steps}
        reads = [self.readers.get(step.output) for step in steps if step is not last]
        return all(found and inner.issuperset(map(id, found)) for found in reads)

    def made(self, name: str, *kinds: str) -> Operator | None:
        """What makes a tensor, if it is of these kinds."""
        op = self.makers.get(name)
        return op if op is not None and op.type in kinds else None

    def only_reader(self, op: Operator) -> Operator | None:
        readers = self.readers.get(op.output, ())
        return readers[0] if len(readers) == 1 else None

    def behind(self, op: Operator, kind: str) -> Operator | None:
        """The only reader, if it is of that kind, with a constant beside."""
        step = self.only_reader(op)
        return step if step is not None and step.type == kind and self.constant(step) else None

    def constant(self, op: Operator) -> str:
        """The one input of two that is constant, '' where it is not one."""
        found = [name for name in op.inputs if name in self.constants]
        return found[0] if len(found) == 1 and len(op.inputs) == 2 else ""

    def other(self, op: Operator) -> str:
        """The one input of two that is not constant."""
        return next((name for name in op.inputs if name not in self.constants), "")

    def axis(self, op: Operator) -> int | None:
        """The one axis that a mean is taken over and keeps."""
        axes = op.integers("axes") if not op.input(1) else None
        if op.input(1):
            values = self.values(op.input(1))
            axes = None if values is None else tuple(int(value) for value in values.reshape(-1))
        return axes[0] if axes is not None and len(axes) == 1 and op.integer("keepdims", 1) else None

    def number(self, name: str) -> float | None:
        values = self.values(name)
        return float(values.reshape(())) if values is not None and values.size == 1 else None

    def values(self, name: str) -> NDArray[np.generic] | None:
        """Of an initializer or a Constant; None for anything else."""
        try:
            if name in self.env.initializers:
                value = self.env.any_value(name)
            elif (op := self.makers.get(name)) is not None and op.type == "Constant":
                value = lower_constant(self.env, op)
            else:
                return None
        except ValueError:
            return None
        return value.values if isinstance(value, Constant) else None
