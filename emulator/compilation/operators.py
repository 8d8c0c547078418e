"""Operators of compiled functions: arithmetic, comparisons and choices."""

from __future__ import annotations

import ast
from typing import Any

from .expressions import Expressions
from .values import BOOL, Items, Scalar, Static, Value, constant

_WRAPPING = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
             ast.LShift: "shl", ast.RShift: "ashr"}  # fmt: skip
_COMPARED = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}
_FOLDED: dict[type[ast.operator], Any] = {
    ast.Add: int.__add__, ast.Sub: int.__sub__, ast.Mult: int.__mul__, ast.BitAnd: int.__and__, ast.BitOr: int.__or__,
    ast.BitXor: int.__xor__, ast.LShift: int.__lshift__, ast.RShift: int.__rshift__, ast.FloorDiv: int.__floordiv__,
    ast.Mod: int.__mod__,
}  # fmt: skip


class Operators(Expressions):
    """Expressions with operators."""

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
