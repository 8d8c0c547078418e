"""The text of one LLVM function: blocks, memory, and variables, which LLVM turns into registers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .context import Context
from .values import (
    BOOL,
    INT64,
    KINDS,
    Array,
    ArrayType,
    CompileError,
    Items,
    Kind,
    Leaf,
    Record,
    RecordType,
    Scalar,
    Subtree,
    TupleType,
    Type,
    Value,
    constant,
    join,
)


def parts(of: Type) -> list[str]:
    """The LLVM types of what represents a value: an integer, an address, an address and a shape, nothing for trees."""
    match of:
        case Kind():
            return [str(of)]
        case RecordType():
            return ["ptr"]
        case ArrayType():
            return ["ptr"] + ["i64"] * of.ndim
        case TupleType():
            return [part for item in of.items for part in parts(item)]
    return []


def assemble(of: Type, texts: Iterator[str]) -> Value:
    """The value of a type whose parts have these names."""
    match of:
        case Kind():
            return Scalar(of, next(texts))
        case RecordType():
            return Record(of, next(texts))
        case ArrayType():
            return Array(of, next(texts), tuple(Scalar(INT64, next(texts)) for _ in range(of.ndim)))
        case TupleType():
            return Items(tuple(assemble(item, texts) for item in of.items))
    return Subtree(of)


class Builder:
    """Instructions of a function under construction; `kinds` outlives it where a variable's type was found too late."""

    def __init__(self, module: Context, kinds: dict[str, Type]):
        self.module, self.kinds = module, kinds
        self.head: list[str] = []
        self.body: list[str] = []
        self.count = 0
        self.open = True
        self.changed = False
        self._leaves: dict[int, Array] = {}
        self._slots: dict[tuple[str, int, str], str] = {}

    def error(self, text: str) -> CompileError:
        """An error at the current place."""
        return CompileError(text)

    # Blocks.

    def emit(self, text: str) -> None:
        """An instruction without a result."""
        self.body.append(f"  {text}")

    def operation(self, text: str) -> str:
        """An instruction; its result's name."""
        self.count += 1
        self.body.append(f"  %t{self.count} = {text}")
        return f"%t{self.count}"

    def label(self) -> str:
        """A new block's name."""
        self.count += 1
        return f"b{self.count}"

    def begin(self, label: str) -> None:
        """The block's instructions follow; what came before falls into it."""
        self.jump(label)
        self.body.append(f"{label}:")
        self.open = True

    def jump(self, label: str) -> None:
        """End the block, if it has not ended."""
        if self.open:
            self.emit(f"br label %{label}")
            self.open = False

    def branch(self, condition: Scalar, yes: str, no: str) -> None:
        """End the block by a choice."""
        self.emit(f"br i1 {self.truth(condition)}, label %{yes}, label %{no}")
        self.open = False

    # Integers.

    def extended(self, value: Scalar) -> str:
        """Its 64 bits."""
        if value.constant is not None or value.kind == INT64:
            return value.text
        return self.operation(f"{'sext' if value.kind.signed else 'zext'} {value.kind} {value.text} to i64")

    def narrowed(self, value: Scalar, kind: Kind) -> str:
        """Its low bits; 0 or 1 for a truth value."""
        if kind == value.kind:
            return value.text
        if kind == BOOL:
            return self.truth(value)
        wide = self.extended(value)
        if value.constant is not None:
            return str(value.constant % (1 << kind.bits))
        return wide if kind == INT64 else self.operation(f"trunc i64 {wide} to {kind}")

    def truth(self, value: Scalar) -> str:
        """Whether it is not 0, as one bit."""
        if value.constant is not None:
            return str(int(value.constant != 0))
        if value.kind == BOOL:
            return value.text
        return self.operation(f"icmp ne {value.kind} {value.text}, 0")

    def wide(self, text: str) -> Scalar:
        """The result of an instruction of 64 bits."""
        return Scalar(INT64, self.operation(text))

    def bit(self, text: str) -> Scalar:
        """The result of an instruction of one bit."""
        return Scalar(BOOL, self.operation(text))

    # Memory.

    def leaf(self, leaf: Leaf) -> Array:
        """An array of an argument; its address and shape do not change while compiled functions run."""
        if leaf.place not in self._leaves:
            texts = []
            for k, part in enumerate(parts(leaf.type)):
                name = f"%a{leaf.place + k}"
                self.head += [
                    f"  {name}.p = getelementptr inbounds i8, ptr %table, i64 {8 * (leaf.place + k)}",
                    f"  {name} = load {part}, ptr {name}.p, align 8, !invariant.load !1",
                ]
                texts.append(name)
            made = assemble(leaf.type, iter(texts))
            assert isinstance(made, Array)
            self._leaves[leaf.place] = made
        return self._leaves[leaf.place]

    def load(self, place: Place) -> Scalar:
        """The integer there."""
        return Scalar(place.kind, self.operation(f"load {place.kind}, ptr {place.pointer}{place.suffix}"))

    def store(self, place: Place, value: Scalar) -> None:
        """Write its low bits."""
        self.emit(f"store {place.kind} {self.narrowed(value, place.kind)}, ptr {place.pointer}{place.suffix}")

    def field(self, record: Record, name: str) -> Place:
        """A record's field."""
        fields = record.type.dtype.fields
        if fields is None or name not in fields:
            raise self.error(
                f"the record has no field {name!r}; its fields are {', '.join(record.type.dtype.names or ())}"
            )
        dtype, offset = fields[name][:2]
        if dtype not in KINDS:
            raise self.error(f"field {name!r} must be an integer of at most 64 bits, not {dtype}")
        pointer = record.pointer
        if offset:
            pointer = self.operation(f"getelementptr inbounds i8, ptr {pointer}, i64 {offset}")
        return Place(KINDS[dtype], pointer, self._suffix(KINDS[dtype], record.type.memory, offset))

    def element(self, array: Array, indices: list[Scalar]) -> Place | Record | Array:
        """What an array has at some indices, not negative: an integer, a record, or a smaller array."""
        if len(indices) > array.type.ndim:
            raise self.error(f"{len(indices)} indices into an array of {array.type.ndim} axes")
        place, size = constant(0), array.type.element
        for axis, extent in enumerate(array.shape):
            if axis and place.constant != 0:
                place = self.wide(f"mul nsw i64 {place.text}, {extent.text}")
            if axis < len(indices):
                index = self.extended(indices[axis])
                place = Scalar(INT64, index) if place.constant == 0 else self.wide(f"add nsw i64 {place.text}, {index}")
        pointer = self.moved(array, place)
        memory = array.type.memory
        if len(indices) < array.type.ndim:
            rest = ArrayType(size, array.type.ndim - len(indices), memory)
            return Array(rest, pointer, array.shape[len(indices) :])
        if isinstance(size, Kind):
            return Place(size, pointer, self._suffix(size, memory, None))
        return Record(RecordType(size, memory), pointer)

    def moved(self, array: Array, elements: Scalar) -> str:
        """The address so many elements after an array's first."""
        if elements.constant == 0:
            return array.pointer
        size = array.type.element
        unit = str(size) if isinstance(size, Kind) else f"[{size.itemsize} x i8]"
        return self.operation(f"getelementptr inbounds {unit}, ptr {array.pointer}, i64 {elements.text}")

    def _suffix(self, kind: Kind, memory: int, offset: int | None) -> str:
        return f", align {kind.bits // 8}{self.module.tag(memory, offset)}"

    # Variables.

    def coerced(self, value: Value, to: Type) -> list[str]:
        """The parts of a value of a type that `join` has made of its own and others."""
        match value, to:
            case Scalar(), Kind():
                return [self.narrowed(value, to)]
            case Record(), RecordType():
                return [value.pointer]
            case Array(), ArrayType():
                return [value.pointer, *(self.extended(extent) for extent in value.shape)]
            case Items(), TupleType():
                return [
                    text for item, kind in zip(value.items, to.items, strict=True) for text in self.coerced(item, kind)
                ]
        return []

    def assign(self, name: str, value: Value) -> None:
        """Give a variable a value."""
        before = self.kinds.get(name)
        after = value.type if before is None else join(before, value.type)
        if after is None:
            raise self.error(f"{name} is given values of different kinds")
        if before is not None and after != before:
            self.changed = True
        self.kinds[name] = after
        for k, (part, text) in enumerate(zip(parts(after), self.coerced(value, after), strict=True)):
            self.emit(f"store {part} {text}, ptr {self._slot(name, k, part)}")

    def variable(self, name: str) -> Value:
        """A variable's value."""
        if name not in self.kinds:
            raise self.error(f"{name} is read before it is given a value")
        kind = self.kinds[name]
        texts = [self.operation(f"load {part}, ptr {self._slot(name, k, part)}") for k, part in enumerate(parts(kind))]
        return assemble(kind, iter(texts))

    def _slot(self, name: str, k: int, part: str) -> str:
        key = name, k, part
        if key not in self._slots:
            self._slots[key] = slot = f"%v{len(self._slots)}"
            self.head += [f"  {slot} = alloca {part}", f"  store {part} zeroinitializer, ptr {slot}"]
        return self._slots[key]


class Place:
    """Where an integer lies; suffix : its alignment, and what it can share bytes with."""

    __slots__ = ("kind", "pointer", "suffix")

    def __init__(self, kind: Kind, pointer: str, suffix: str):
        self.kind, self.pointer, self.suffix = kind, pointer, suffix


def record_dtype(dtype: np.dtype[np.generic]) -> bool:
    """Whether all fields of a dtype are integers."""
    return bool(dtype.fields) and all(kind in KINDS for kind, *_ in (dtype.fields or {}).values())
