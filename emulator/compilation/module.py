"""An LLVM module: the functions that one of them calls, each once for every combination of arguments' types."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType

import numpy as np
from numpy.typing import NDArray

from .builder import parts
from .context import Context, Instance
from .statements import compile_function, result_type
from .values import ENTRY, INT64, KINDS, Array, ArrayType, CompileError, Kind, Scalar, Type


class Module(Context):
    """What has been compiled so far.

    shared : numbers of memories (`ArrayType.memory`) in which several arrays lie
    """

    attributes = "nounwind"

    def __init__(self, shared: frozenset[int] = frozenset()):
        self.shared = shared
        self._texts: list[str] = []
        self._instances: dict[tuple[FunctionType, tuple[Type, ...]], Instance | None] = {}
        self._tags: dict[tuple[int, int | None], int] = {}
        self._arrays: dict[int, tuple[NDArray[np.integer], Array]] = {}
        self._names: set[str] = set()

    def instance(
        self, function: FunctionType, types: tuple[Type, ...], error: Callable[[str], CompileError] = CompileError
    ) -> Instance:
        """The function for arguments of these types."""
        key = function, types
        if key not in self._instances:
            self._instances[key] = None
            name = f"{function.__name__}_{len(self._instances)}"
            text, result = compile_function(self, name, function, types)
            self._texts.append(text)
            self._instances[key] = Instance(name, result)
        made = self._instances[key]
        if made is None:
            raise error(f"{function.__name__} calls itself")
        return made

    def constant_array(self, array: NDArray[np.integer]) -> Array:
        """An array that compiled functions only read."""
        if id(array) not in self._arrays:
            if array.dtype not in KINDS:
                raise CompileError(f"a constant array must be of integers, not of {array.dtype}")
            kind, name = KINDS[array.dtype], f"@constant_{len(self._arrays)}"
            data = "".join(f"\\{byte:02X}" for byte in np.ascontiguousarray(array).tobytes())
            self._texts.append(
                f'{name} = private unnamed_addr constant [{array.nbytes} x i8] c"{data}", align {kind.bits // 8}'
            )
            shape = tuple(Scalar(INT64, str(extent), extent) for extent in array.shape)
            self._arrays[id(array)] = array, Array(ArrayType(kind, array.ndim, -1), name, shape)
        return self._arrays[id(array)][1]

    def tag(self, memory: int, offset: int | None) -> str:
        """What tells LLVM which bytes an access can touch: those of one array, of one field of its records."""
        if memory <= 0:
            return ""
        key = memory, None if memory in self.shared else offset
        number = self._tags.setdefault(key, 2 + 2 * len(self._tags))
        return f", !tbaa !{number}"

    def text(self, function: FunctionType, types: tuple[Type, ...]) -> tuple[str, Kind | None]:
        """The whole module, with `ENTRY` for C to call, and the kind of its result, which it returns in 64 bits.

        Its arguments: the table of addresses, and 64 bits for each part of those that are no named tuples.
        """
        made = self.instance(function, types)
        kinds = [part for of in types for part in parts(of)]
        parameters = ", ".join(["ptr %table", *(f"{part} %p{k}" for k, part in enumerate(kinds))])
        call = f"call fastcc {result_type(made.result)} @{made.name}({parameters})"
        match made.result:
            case None:
                body = [f"  {call}", "  ret i64 0"]
            case Kind() as kind:
                body = [f"  %r = {call}", "  ret i64 %r"]
                if kind.bits < 64:
                    body[1:] = [f"  %e = {'sext' if kind.signed else 'zext'} {kind} %r to i64", "  ret i64 %e"]
            case _:
                raise CompileError(f"{function.__name__} must return an integer, or nothing, to Python")
        lines = [*self._texts, f"define i64 @{ENTRY}({parameters}) {self.attributes} {{", *body, "}"]
        lines += [f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax")]
        lines += ["declare i64 @llvm.abs.i64(i64, i1)", '!0 = !{!"memory"}', "!1 = !{}"]
        for number in self._tags.values():
            lines += [f"!{number} = !{{!{number + 1}, !{number + 1}, i64 0}}"]
            lines += [f'!{number + 1} = !{{!"{number}", !0, i64 0}}']
        return "\n".join(lines), made.result
