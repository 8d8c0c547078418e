"""Statements of compiled functions, and a whole function."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from .builder import Place, assemble, parts
from .context import Context
from .operators import Operators
from .values import (
    BOOL,
    INT64,
    Array,
    CompileError,
    Items,
    Record,
    Scalar,
    Static,
    Subtree,
    Tree,
    Type,
    Value,
    constant,
)

_RESULT = "$result"


@dataclass
class _Loop:
    """Blocks that `continue` and `break` go to; whether there is a `break`."""

    following: str
    end: str
    left: bool = False


class Statements(Operators):
    """A function's statements, one after the other; those that cannot be reached are left out."""

    def __init__(self, module: Context, kinds: dict[str, Type], function: FunctionType, definition: ast.FunctionDef):
        names = (node for node in ast.walk(definition) if isinstance(node, ast.Name))
        variables = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        super().__init__(module, kinds, function, variables | {argument.arg for argument in definition.args.args})
        self.line = definition.lineno
        self.end = self.label()
        self.returns: set[bool] = set()
        self._loops: list[_Loop] = []

    def error(self, text: str) -> CompileError:
        """An error that names the line."""
        code = self.python.__code__
        line = code.co_firstlineno + self.line - 1
        return CompileError(f"{Path(code.co_filename).name}, line {line}, in {self.python.__name__}: {text}")

    def statements(self, nodes: list[ast.stmt]) -> None:
        """A block."""
        for node in nodes:
            if not self.open:
                return
            self.line = node.lineno
            method = getattr(self, f"_{type(node).__name__.lower()}", None)
            if method is None:
                raise self.error(f"`{ast.unparse(node).splitlines()[0]}` cannot be compiled")
            method(node)

    def _pass(self, node: ast.Pass) -> None:
        pass

    def _expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.expression(node.value)

    def _assign(self, node: ast.Assign) -> None:
        found = self.value(node.value)
        for target in node.targets:
            self._give(target, found)

    def _annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._give(node.target, self.value(node.value))

    def _augassign(self, node: ast.AugAssign) -> None:
        target, operator = node.target, type(node.op)
        if isinstance(target, ast.Name):
            before = self.variable(target.id)
            if not isinstance(before, Scalar):
                raise self.error(f"{target.id} must be an integer")
            self.assign(target.id, self.arithmetic(operator, before, self.scalar(node.value)))
            return
        place = self._place(target)
        before = self.load(place)
        self.store(place, self.arithmetic(operator, before, self.scalar(node.value)))

    def _give(self, target: ast.expr, found: Value) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, found)
        elif isinstance(target, ast.Tuple | ast.List):
            if not isinstance(found, Items) or len(found.items) != len(target.elts):
                raise self.error(f"`{ast.unparse(target)}` needs {len(target.elts)} values")
            for one, item in zip(target.elts, found.items, strict=True):
                self._give(one, item)
        elif isinstance(found, Scalar):
            self.store(self._place(target), found)
        else:
            raise self.error(f"`{ast.unparse(target)}` can be given an integer only")

    def _place(self, target: ast.expr) -> Place:
        """Where an assignment to a field or an element goes."""
        if isinstance(target, ast.Attribute):
            record = self.expression(target.value)
            if isinstance(record, Record):
                return self.field(record, target.attr)
        if isinstance(target, ast.Subscript):
            array = self.expression(target.value)
            if isinstance(array, Array):
                if array.type.memory < 0:
                    raise self.error(f"`{ast.unparse(target.value)}` is a constant")
                found = self.element_of(array, target.slice)
                if isinstance(found, Place):
                    return found
        raise self.error(f"`{ast.unparse(target)}` is no integer's place")

    # Control flow.

    def _if(self, node: ast.If) -> None:
        yes, no, end = self.label(), self.label(), self.label()
        self.choose(node.test, yes, no)
        self.begin(yes)
        self.statements(node.body)
        reached = self.open
        self.jump(end)
        self.begin(no)
        self.statements(node.orelse)
        if self.open or reached:
            self.begin(end)

    def _while(self, node: ast.While) -> None:
        if node.orelse:
            raise self.error("a loop's `else` cannot be compiled")
        test, body, end = self.label(), self.label(), self.label()
        self.begin(test)
        self.choose(node.test, body, end)
        self.begin(body)
        left = self._loop(node.body, test, end)
        self.jump(test)
        if left or not (isinstance(node.test, ast.Constant) and node.test.value):
            self.begin(end)

    def _for(self, node: ast.For) -> None:
        call = node.iter
        if not isinstance(call, ast.Call) or self.expression(call.func) != Static(range) or node.orelse:
            raise self.error("`for` must go over a range(), without `else`")
        given = [self.scalar(argument) for argument in call.args]
        start, stop = (constant(0), given[0]) if len(given) == 1 else given[:2]
        step = given[2] if len(given) > 2 else constant(1)
        if step.constant is None or step.constant == 0 or not isinstance(node.target, ast.Name):
            raise self.error("`for` must have one variable, and a step that is known")
        counter = self._temporary()
        test, body, following, end = (self.label() for _ in range(4))
        limit = self.extended(stop)
        self.assign(counter, Scalar(INT64, self.extended(start), start.constant))
        self.begin(test)
        here = self.variable(counter)
        assert isinstance(here, Scalar)
        self.branch(self.bit(f"icmp {'slt' if step.constant > 0 else 'sgt'} i64 {here.text}, {limit}"), body, end)
        self.begin(body)
        self.assign(node.target.id, here)
        self._loop(node.body, following, end)
        self.begin(following)
        self.assign(counter, self.wide(f"add nsw i64 {here.text}, {step.text}"))
        self.jump(test)
        self.begin(end)

    def _loop(self, nodes: list[ast.stmt], following: str, end: str) -> bool:
        """A loop's body; returns whether it is left by `break`."""
        self._loops.append(_Loop(following, end))
        self.statements(nodes)
        return self._loops.pop().left

    def _continue(self, node: ast.Continue) -> None:
        self.jump(self._loops[-1].following)

    def _break(self, node: ast.Break) -> None:
        self._loops[-1].left = True
        self.jump(self._loops[-1].end)

    def _return(self, node: ast.Return) -> None:
        found = Static(None) if node.value is None else self.expression(node.value)
        if isinstance(found, Static) and found.object is not None:
            raise self.error(f"`{ast.unparse(node)}` is neither an integer nor an array")
        value = None if isinstance(found, Static) else found
        self.leave(value)

    def leave(self, value: Value | None) -> None:
        """Return."""
        self.returns.add(value is not None)
        if len(self.returns) > 1:
            raise self.error("every return must have a value, or none")
        if value is not None:
            self.assign(_RESULT, value)
        self.jump(self.end)

    def call(self, function: FunctionType, arguments: list[Value]) -> Value | None:
        """Call a compiled function."""
        arguments = [
            Scalar(INT64, self.extended(given), given.constant)
            if isinstance(given, Scalar) and given.kind != BOOL
            else given
            for given in arguments
        ]
        made = self.module.instance(function, tuple(given.type for given in arguments), self.error)
        texts = ["ptr %table"]
        for given in arguments:
            kinds = parts(given.type)
            texts += [f"{kind} {text}" for kind, text in zip(kinds, self.coerced(given, given.type), strict=True)]
        result = result_type(made.result)
        call = f"call fastcc {result} @{made.name}({', '.join(texts)})"
        if made.result is None:
            self.emit(call)
            return None
        kinds = parts(made.result)
        if len(kinds) == 1:
            return assemble(made.result, iter([self.operation(call)]))
        whole = self.operation(call)
        return assemble(
            made.result, iter([self.operation(f"extractvalue {result} {whole}, {k}") for k in range(len(kinds))])
        )


def result_type(of: Type | None) -> str:
    """What an LLVM function returns for a value of this type."""
    kinds = [] if of is None else parts(of)
    return "void" if not kinds else kinds[0] if len(kinds) == 1 else f"{{ {', '.join(kinds)} }}"


def definition_of(function: FunctionType) -> ast.FunctionDef:
    """The function's syntax tree; `CompileError` where the file is no longer what was imported."""
    name = f"{Path(function.__code__.co_filename).name}, {function.__name__}"
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError) as error:
        raise CompileError(f"{name}: its source cannot be read: {error}") from None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__name__:
        raise CompileError(f"{name}: its file is no longer the one that was imported")
    given = definition.args
    if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs or given.defaults:
        raise CompileError(f"{name}: its arguments must be plain names without defaults")
    return definition


def compile_function(
    module: Context, name: str, function: FunctionType, types: tuple[Type, ...]
) -> tuple[str, Type | None]:
    """The text of a function for arguments of these types, and the type of its result."""
    definition = definition_of(function)
    names = [argument.arg for argument in definition.args.args]
    kinds: dict[str, Type] = {}
    if len(names) != len(types):
        raise CompileError(f"{function.__name__} takes {len(names)} arguments, not {len(types)}")
    while True:
        made = Statements(module, kinds, function, definition)
        parameters = ["ptr %table"]
        for k, (argument, kind) in enumerate(zip(names, types, strict=True)):
            texts = [f"%p{k}.{n}" for n in range(len(parts(kind)))]
            parameters += [f"{part} {text}" for part, text in zip(parts(kind), texts, strict=True)]
            made.assign(argument, Subtree(kind) if isinstance(kind, Tree) else assemble(kind, iter(texts)))
        made.statements(definition.body)
        if made.open:
            made.leave(None)
        if made.changed:
            continue
        made.begin(made.end)
        result = kinds.get(_RESULT)
        text = result_type(result)
        if result is None:
            made.emit("ret void")
        else:
            value = made.variable(_RESULT)
            pieces = made.coerced(value, result)
            if len(pieces) == 1:
                made.emit(f"ret {text} {pieces[0]}")
            else:
                whole = "undef"
                for k, (part, piece) in enumerate(zip(parts(result), pieces, strict=True)):
                    whole = made.operation(f"insertvalue {text} {whole}, {part} {piece}, {k}")
                made.emit(f"ret {text} {whole}")
        head = f"define internal fastcc {text} @{name}({', '.join(parameters)}) {module.attributes} {{"
        return "\n".join([head, "entry:", *made.head, "  br label %body", "body:", *made.body, "}"]), result
