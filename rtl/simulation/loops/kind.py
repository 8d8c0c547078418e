"""All instances of one kind of module: an array for each of its signals, a loop for each of its statements.

A loop of few statements over arrays is what a C++ compiler turns into vector instructions; so there is one for each
statement, and narrow parts of wide signals, which do not fit into a vector's elements, become signals of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .module import Module, Signal, map_names, prune

WIDEST = 64
"""Bits of the largest integer."""
INDEX = "index"
_SLICE = re.compile(r"\b([A-Za-z_]\w*)\[(\d+)(?::(\d+))?\]")
_STATEMENT = re.compile(r"^( *)(\S.*?) (<?=) (.*);$")
_NAME = re.compile(r"[A-Za-z_]\w*")
_RESET = re.compile(r"\n?    if \(rst\) begin\n      (\w+) <= (\S+);\n    end$")


@dataclass(frozen=True)
class Place:
    """How the kind's names are written in the module that has its instances.

    shared : inputs that are connected to the same signal in all instances, and this signal
    """

    kind: str
    count: int
    shared: Mapping[str, str]

    def array(self, name: str) -> str:
        """Of a signal or memory."""
        return f"all_{self.kind}__{name}"

    def one(self, text: str, index: str = INDEX) -> str:
        """An expression or statement of one instance."""
        return map_names(text, lambda name: self.shared.get(name) or f"{self.array(name)}[{index}]")

    def declared(self, name: str, width: int, more: str = "") -> str:
        """As long as a power of two, so that no index needs a check."""
        return f"  logic [{width - 1}:0] {self.array(name)} [0:{(1 << (self.count - 1).bit_length()) - 1}]{more};\n"


def loop(count: int, body: str) -> str:
    """A loop over so many instances, that stays one; the body's lines are indented already."""
    step = f"{INDEX} = {INDEX} + 32'd1"  # unsigned, so that the compiler can count the turns
    return (
        "      /*verilator unroll_disable*/\n"
        f"      for (logic [31:0] {INDEX} = 32'd0; {INDEX} < 32'd{count}; {step}) begin\n{body}\n      end\n"
    )


def simplify(module: Module) -> None:
    """Without second names for a signal, and with each narrow part of a wide one as a signal."""
    _divide(module)
    second: dict[str, str] = {}
    for left, right in module.assigns:
        both = module.signals.get(left), module.signals.get(right)
        if both[0] is not None and both[1] is not None and both[0].width == both[1].width and left not in module.ports:
            second[left] = right

    def first(name: str) -> str:
        while name in second:
            name = second[name]
        return name

    module.assigns = [
        (map_names(left, first), map_names(right, first)) for left, right in module.assigns if left not in second
    ]
    module.combinational = [map_names(body, first) for body in module.combinational]
    module.clocked = [map_names(body, first) for body in module.clocked]
    prune(module)


def _divide(module: Module) -> None:
    taken: dict[str, tuple[str, int]] = {}

    def part(found: re.Match[str]) -> str:
        signal = module.signals.get(found[1])
        high, low = int(found[2]), int(found[3] or found[2])
        if signal is None or signal.width <= WIDEST or high - low >= WIDEST:
            return found[0]
        name = f"{found[1]}__from_{low}_to_{high}"
        taken[name] = found[0], high - low + 1
        return name

    def read(line: str) -> str:
        statement = _STATEMENT.match(line)
        if statement is None:
            return _SLICE.sub(part, line)
        return f"{statement[1]}{statement[2]} {statement[3]} {_SLICE.sub(part, statement[4])};"

    module.assigns = [(left, _SLICE.sub(part, right)) for left, right in module.assigns]
    module.combinational = ["\n".join(map(read, body.splitlines())) for body in module.combinational]
    module.clocked = ["\n".join(map(read, body.splitlines())) for body in module.clocked]
    for name, (text, width) in taken.items():
        module.signals[name] = Signal(width)
        module.assigns.append((name, text))


def arrays(module: Module, place: Place) -> Iterator[str]:
    """Declarations, and what holds at power on."""
    words = list[str]()
    for name, signal in module.signals.items():
        if name not in place.shared:
            yield place.declared(name, signal.width)
            if signal.initial is not None:
                words.append(f"        {place.one(name)} = {signal.initial};")
    for name, memory in module.memories.items():
        yield place.declared(name, memory.width, f"[0:{memory.depth - 1}]")
        words += [f"        {place.one(name)}[{at}] = {value};" for at, value in memory.words.items()]
    if words:
        yield "  initial begin\n" + loop(place.count, "\n".join(words)) + "  end\n"


def statements(module: Module, place: Place) -> Iterator[str]:
    """The processes of all instances."""
    of_signal: dict[str, list[str]] = {}
    for left, right in module.assigns:
        of_signal.setdefault(_base(left), []).append(f"        {place.one(left)} = {place.one(right)};")
    for lines in of_signal.values():
        yield _combinational(place, lines)
    for body in module.combinational:
        yield _combinational(place, [place.one(body)])
    plain, reset = dict[str, str](), dict[str, tuple[str, str]]()
    for body in module.clocked:
        yield from _clocked(module, body, place, plain, reset)
    if plain:
        steps = "".join(f"    {place.array(name)} <= {value};\n" for name, value in plain.items())
        yield f"  always @(posedge clk) begin\n{steps}  end\n"
    if reset:
        first = "".join(f"      {place.array(name)} <= '{{default: {value}}};\n" for name, (value, _) in reset.items())
        steps = "".join(f"      {place.array(name)} <= {value};\n" for name, (_, value) in reset.items())
        condition = f"    if ({place.shared['rst']}) begin\n{first}    end else begin\n{steps}    end\n"
        yield f"  always @(posedge clk) begin\n{condition}  end\n"


def _combinational(place: Place, lines: list[str]) -> str:
    return "  always_comb begin\n" + loop(place.count, "\n".join(lines)) + "  end\n"


def _clocked(
    module: Module, body: str, place: Place, plain: dict[str, str], reset: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """A clocked process: a loop for the next values, and what registers take as whole arrays.

    plain : register → what it takes; reset : register → (what it takes with the reset, and without). Filled here. A
    memory is written by each instance for itself.
    """
    targets = [_base(found[2]) for found in map(_STATEMENT.match, body.splitlines()) if found]
    if any(target in module.memories for target in targets):
        lines = "\n".join(place.one(body, str(index)) for index in range(place.count))
        yield f"  always @(posedge clk) begin\n{lines}\n  end\n"
        return
    ends = _RESET.search(body) if "rst" in place.shared else None
    if ends is not None and set(targets) == {ends[1]}:
        body = body[: ends.start()]
    else:
        ends = None
    moved = re.fullmatch(r" *(\w+) <= ([A-Za-z_]\w*);", body)
    if moved is not None and moved[2] in module.signals and moved[2] not in place.shared:
        following = {moved[1]: place.array(moved[2])}
    else:
        following = {target: place.array(f"next__{target}") for target in targets}
        yield from (place.declared(f"next__{target}", module.signals[target].width) for target in following)
        yield _combinational(place, list(_next_values(body, place, following)))
    for target, value in following.items():
        if ends is None:
            plain[target] = value
        else:
            reset[target] = ends[2], value


def _next_values(body: str, place: Place, following: Mapping[str, str]) -> Iterator[str]:
    """Lines that give the registers' next values; without a statement, a register keeps its value."""
    lines = body.splitlines()
    first = _STATEMENT.match(lines[0]) if lines else None
    for target, value in following.items():
        if first is None or first[2] != target:
            yield f"        {value}[{INDEX}] = {place.one(target)};"
    for line in lines:
        statement = _STATEMENT.match(line)
        if statement is None:
            yield f"    {place.one(line)}"
            continue
        left = map_names(
            statement[2], lambda name: f"{following[name]}[{INDEX}]" if name in following else place.one(name)
        )
        yield f"    {statement[1]}{left} = {place.one(statement[4])};"


def _base(target: str) -> str:
    """The first signal that a left side names."""
    found = _NAME.search(target)
    assert found is not None
    return found[0]
