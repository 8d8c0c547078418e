"""Expressions of compiled functions."""

from __future__ import annotations

import ast
import builtins
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from .builder import Builder, Place
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

if TYPE_CHECKING:
    from .module import Module

_WRAPPING = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
             ast.LShift: "shl", ast.RShift: "ashr"}  # fmt: skip
_COMPARED = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}
_FOLDED: dict[type[ast.operator], Any] = {
    ast.Add: int.__add__, ast.Sub: int.__sub__, ast.Mult: int.__mul__, ast.BitAnd: int.__and__, ast.BitOr: int.__or__,
    ast.BitXor: int.__xor__, ast.LShift: int.__lshift__, ast.RShift: int.__rshift__, ast.FloorDiv: int.__floordiv__,
    ast.Mod: int.__mod__,
}  # fmt: skip


class Expressions(Builder):
    """Values of expressions; what is no local variable is looked up where the Python function would look."""

    def __init__(self, module: Module, kinds: dict[str, Type], function: FunctionType, variables: set[str]):
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

    # Arithmetic.

    def _binop(self, node: ast.BinOp) -> Scalar:
        return self.arithmetic(type(node.op), self.scalar(node.left), self.scalar(node.right))

    def arithmetic(self, operator: type[ast.operator], left: Scalar, right: Scalar) -> Scalar:
        """Integers as in Python, modulo 2^64; a shift is by less than 64."""
        if operator not in _FOLDED:
            raise self.error(f"integers have no {operator.__name__} here")
        if left.constant is not None and right.constant is not None:
            return constant(int(_FOLDED[operator](left.constant, right.constant)))
        if left.kind == right.kind == BOOL and operator in (ast.BitAnd, ast.BitOr, ast.BitXor):
            return self.bit(f"{_WRAPPING[operator]} i1 {left.text}, {right.text}")
        one, two = self.extended(left), self.extended(right)
        if operator in _WRAPPING:
            return self.wide(f"{_WRAPPING[operator]} i64 {one}, {two}")
        return self._divided(operator is ast.Mod, one, two, right.constant)

    def _divided(self, rest: bool, one: str, two: str, known: int | None) -> Scalar:
        """Quotient (rounded down) or rest (with the divisor's sign); of a division by 0: by 1."""
        if known is not None and known > 0 and known & (known - 1) == 0:
            if rest:
                return self.wide(f"and i64 {one}, {known - 1}")
            return self.wide(f"ashr i64 {one}, {known.bit_length() - 1}")
        if known is None:
            zero = self.operation(f"icmp eq i64 {two}, 0")
            two = self.operation(f"select i1 {zero}, i64 1, i64 {two}")
        remainder = self.operation(f"srem i64 {one}, {two}")
        mixed = self.operation(f"xor i64 {remainder}, {two}")
        negative = self.operation(f"icmp slt i64 {mixed}, 0")
        some = self.operation(f"icmp ne i64 {remainder}, 0")
        adjust = self.operation(f"and i1 {negative}, {some}")
        if rest:
            added = self.operation(f"select i1 {adjust}, i64 {two}, i64 0")
            return self.wide(f"add i64 {remainder}, {added}")
        quotient = self.operation(f"sdiv i64 {one}, {two}")
        less = self.operation(f"sext i1 {adjust} to i64")
        return self.wide(f"add i64 {quotient}, {less}")

    def _unaryop(self, node: ast.UnaryOp) -> Scalar:
        operand = self.scalar(node.operand)
        match node.op:
            case ast.Not():
                if operand.constant is not None:
                    return constant(operand.constant == 0)
                return self.bit(f"xor i1 {self.truth(operand)}, 1")
            case ast.USub():
                if operand.constant is not None:
                    return constant(-operand.constant)
                return self.wide(f"sub i64 0, {self.extended(operand)}")
            case ast.Invert():
                if operand.constant is not None:
                    return constant(~operand.constant)
                return self.wide(f"xor i64 {self.extended(operand)}, -1")
        return operand

    def _compare(self, node: ast.Compare) -> Scalar:
        left, made = node.left, None
        one = self.scalar(left)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn):
                found = self._among(one, right, isinstance(operator, ast.NotIn))
            else:
                two = self.scalar(right)
                found, one = self._compared(type(operator), one, two), two
            made = found if made is None else self.bit(f"and i1 {made.text}, {found.text}")
        assert made is not None
        return made

    def _compared(self, operator: type[ast.cmpop], one: Scalar, two: Scalar) -> Scalar:
        if operator not in _COMPARED:
            raise self.error(f"integers have no comparison {operator.__name__}")
        return self.bit(f"icmp {_COMPARED[operator]} i64 {self.extended(one)}, {self.extended(two)}")

    def _among(self, one: Scalar, right: ast.expr, absent: bool) -> Scalar:
        items = self.expression(right)
        values = [self.static(item) for item in items.object] if isinstance(items, Static) else []
        values = list(items.items) if isinstance(items, Items) else values
        made = constant(False)
        for item in values:
            if not isinstance(item, Scalar):
                raise self.error(f"`{ast.unparse(right)}` must hold integers")
            made = self.bit(f"or i1 {made.text}, {self._compared(ast.Eq, one, item).text}")
        return self.bit(f"xor i1 {made.text}, {int(absent)}")

    # Choices.

    def choose(self, node: ast.expr, yes: str, no: str) -> None:
        """End the block by what a condition says."""
        match node:
            case ast.BoolOp():
                for item in node.values[:-1]:
                    further = self.label()
                    self.choose(item, *((further, no) if isinstance(node.op, ast.And) else (yes, further)))
                    self.begin(further)
                self.choose(node.values[-1], yes, no)
            case ast.UnaryOp(op=ast.Not()):
                self.choose(node.operand, no, yes)
            case _:
                self.branch(self.scalar(node), yes, no)

    def _boolop(self, node: ast.BoolOp) -> Scalar:
        name, end = self._temporary(), self.label()
        for k, item in enumerate(node.values):
            found = self.scalar(item)
            self.assign(name, found)
            if k < len(node.values) - 1:
                further = self.label()
                self.branch(found, *((further, end) if isinstance(node.op, ast.And) else (end, further)))
                self.begin(further)
        self.begin(end)
        made = self.variable(name)
        assert isinstance(made, Scalar)
        return made

    def _ifexp(self, node: ast.IfExp) -> Value:
        name, yes, no, end = self._temporary(), self.label(), self.label(), self.label()
        match node.body, node.orelse:
            case ast.Constant(value=1), ast.Constant(value=0):
                return Scalar(BOOL, self.truth(self.scalar(node.test)))
        self.choose(node.test, yes, no)
        self.begin(yes)
        self.assign(name, self.value(node.body))
        self.jump(end)
        self.begin(no)
        self.assign(name, self.value(node.orelse))
        self.begin(end)
        return self.variable(name)

    def _temporary(self) -> str:
        self.count += 1
        return f"${self.count}"

    # Calls.

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
