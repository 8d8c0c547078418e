"""Expressions of compiled functions."""

from __future__ import annotations

import ast
import builtins
from types import FunctionType
from typing import Any

import numpy as np

from .builder import Builder, Place
from .context import Context
from .values import (
    BOOL,
    INT64,
    KINDS,
    Array,
    Items,
    Leaf,
    Record,
    Scalar,
    Static,
    Subtree,
    Type,
    Value,
    constant,
)


class Expressions(Builder):
    """Values of expressions; what is no local variable is looked up where the Python function would look."""

    def __init__(self, module: Context, kinds: dict[str, Type], function: FunctionType, variables: set[str]):
        super().__init__(module, kinds)
        self.python, self.variables = function, variables

    def value(self, node: ast.expr) -> Value:
        """An expression that stands for a value."""
        found = self.expression(node)
        if isinstance(found, Static):
            raise self.error(f"`{ast.unparse(node)}` is neither an integer nor an array")
        return found

    def scalar(self, node: ast.expr) -> Scalar:
        """An expression that stands for an integer."""
        found = self.expression(node)
        if not isinstance(found, Scalar):
            raise self.error(f"`{ast.unparse(node)}` must be an integer")
        return found

    def expression(self, node: ast.expr) -> Value | Static:
        """Any expression."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.error(f"`{ast.unparse(node)}` cannot be compiled ({type(node).__name__})")
        return method(node)  # type: ignore[no-any-return]

    def static(self, found: Any) -> Value | Static:
        """A Python object as a value, if it is one."""
        if isinstance(found, int | np.integer | np.bool_):
            return constant(bool(found) if isinstance(found, np.bool_) else found)  # type: ignore[arg-type]
        if isinstance(found, np.ndarray):
            return self.module.constant_array(found)
        return Static(found)

    def _constant(self, node: ast.Constant) -> Value | Static:
        return self.static(node.value)

    def _name(self, node: ast.Name) -> Value | Static:
        if node.id in self.variables:
            return self.variable(node.id)
        function = self.python
        if node.id in function.__code__.co_freevars:
            assert function.__closure__ is not None
            return self.static(function.__closure__[function.__code__.co_freevars.index(node.id)].cell_contents)
        if node.id in function.__globals__:
            return self.static(function.__globals__[node.id])
        if hasattr(builtins, node.id):
            return Static(getattr(builtins, node.id))
        raise self.error(f"{node.id} is not defined")

    def _attribute(self, node: ast.Attribute) -> Value | Static:
        base = self.expression(node.value)
        match base:
            case Static():
                if not hasattr(base.object, node.attr):
                    raise self.error(f"`{ast.unparse(node)}` does not exist")
                return self.static(getattr(base.object, node.attr))
            case Subtree():
                part = base.type.parts.get(node.attr)
                if part is None:
                    raise self.error(f"{base.type.name} has no field {node.attr!r}")
                return self.leaf(part) if isinstance(part, Leaf) else Subtree(part)
            case Record():
                return self.load(self.field(base, node.attr))
            case Array() if node.attr == "shape":
                return Items(base.shape)
        raise self.error(f"`{ast.unparse(node)}` does not exist")

    def _subscript(self, node: ast.Subscript) -> Value | Static:
        base = self.expression(node.value)
        match base:
            case Array():
                found = self.element_of(base, node.slice)
                return self.load(found) if isinstance(found, Place) else found
            case Items() | Static():
                index = self.expression(node.slice)
                if not isinstance(index, Scalar) or index.constant is None:
                    raise self.error(f"`{ast.unparse(node)}` needs an index that is known when it is compiled")
                if isinstance(base, Items):
                    return base.items[index.constant]
                return self.static(base.object[index.constant])
        raise self.error(f"`{ast.unparse(node)}` has no items")

    def element_of(self, base: Array, index: ast.expr) -> Place | Record | Array:
        """An array at the indices of a subscript; one slice, without a step, may end them."""
        nodes = index.elts if isinstance(index, ast.Tuple) else [index]
        cut = nodes[-1] if isinstance(nodes[-1], ast.Slice) else None
        indices = []
        for axis, node in enumerate(nodes[:-1] if cut else nodes):
            found = self.scalar(node)
            if found.constant is not None and found.constant < 0 and axis < len(base.shape):
                found = self.wide(f"add i64 {base.shape[axis].text}, {found.text}")
            indices.append(found)
        found_at = self.element(base, indices) if indices else base
        if cut is None:
            return found_at
        if not isinstance(found_at, Array) or cut.step is not None:
            raise self.error(f"`{ast.unparse(index)}` must be indices and at most one slice without a step")
        low = self.scalar(cut.lower) if cut.lower else constant(0)
        high = self.scalar(cut.upper) if cut.upper else found_at.shape[0]
        extent = self.wide(f"sub i64 {self.extended(high)}, {self.extended(low)}")
        rest = self.element(found_at, [low])
        pointer = rest.pointer
        return Array(found_at.type, pointer, (extent, *found_at.shape[1:]))

    def _tuple(self, node: ast.Tuple) -> Items:
        return Items(tuple(self.value(item) for item in node.elts))

    def _call(self, node: ast.Call) -> Value | Static:
        called = self.expression(node.func)
        if not isinstance(called, Static) or node.keywords:
            raise self.error(f"`{ast.unparse(node)}` cannot be called, or not with names")
        target = called.object
        inner = getattr(target, "compiled_function", None)
        if inner is not None:
            made = self.call(inner, [self.value(argument) for argument in node.args])
            return Static(None) if made is None else made
        if target is len:
            (base,) = (self.value(argument) for argument in node.args)
            if not isinstance(base, Array):
                raise self.error(f"`{ast.unparse(node)}` must be of an array")
            return base.shape[0]
        arguments = [self.scalar(argument) for argument in node.args]
        if target in (min, max) and len(arguments) > 1:
            made_of = arguments[0]
            for further in arguments[1:]:
                one, two = self.extended(made_of), self.extended(further)
                made_of = self.wide(f"call i64 @llvm.s{target.__name__}.i64(i64 {one}, i64 {two})")
            return made_of
        if target is abs:
            return self.wide(f"call i64 @llvm.abs.i64(i64 {self.extended(arguments[0])}, i1 0)")
        if target is bool:
            return Scalar(BOOL, self.truth(arguments[0]))
        if target is int:
            return Scalar(INT64, self.extended(arguments[0]), arguments[0].constant)
        if isinstance(target, type) and issubclass(target, np.integer) and np.dtype(target) in KINDS:
            kind = KINDS[np.dtype(target)]
            return Scalar(kind, self.narrowed(arguments[0], kind))
        raise self.error(f"`{ast.unparse(node.func)}` is no compiled function")

    def call(self, function: FunctionType, arguments: list[Value]) -> Value | None:
        """Call a compiled function."""
        raise NotImplementedError
