"""A module of the Verilog that Yosys writes, read into its parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(r"\d*'s?[bodh][0-9a-fA-FxXzZ?_]+|\$\w+|[A-Za-z_]\w*|\d+|\s+|.", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_ATTRIBUTE = re.compile(r"\(\*.*\*\)")
_DECLARED = re.compile(r"(input|output|wire|reg) (?:\[(\d+):0\] )?(\w+)(?: = (\S+))?;")
_MEMORY = re.compile(r"reg \[(\d+):0\] (\w+) \[(\d+):0\];")
_WORD = re.compile(r"    (\w+)\[(\d+)\] = (\S+);")
_ASSIGN = re.compile(r"assign (.*?) = (.*);")
_CLOCKED = "always @(posedge clk)"
_INSTANCE = re.compile(r"(\w+) (\w+) \($")
_CONNECTION = re.compile(r"    \.(\w+)\((.*)\),?$")
_KEYWORDS = frozenset({"if", "else", "begin", "end", "case", "casez", "endcase", "default"})
_TRIGGERS = frozenset({"reg settle;", "initial settle <= 1'h0;"})
"""What makes an ``always @*`` run at time 0 in other simulators; Verilator needs none."""


class Unreadable(ValueError):
    """Verilog that is not as Yosys writes it."""


@dataclass(frozen=True)
class Signal:
    """A wire or a register of so many bits; initial: value at power on, or None."""

    width: int
    initial: str | None = None


@dataclass(frozen=True)
class Memory:
    """Words of so many bits; words: what differs from 0 at power on, by address."""

    width: int
    depth: int
    words: Mapping[int, str] = field(default_factory=dict)


@dataclass
class Module:
    """ports : name → ``input`` or ``output``
    assigns : (left side, right side)
    combinational, clocked : bodies of processes
    instances : name → (kind, port → what is connected to it)
    """

    name: str
    ports: dict[str, str] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    assigns: list[tuple[str, str]] = field(default_factory=list)
    combinational: list[str] = field(default_factory=list)
    clocked: list[str] = field(default_factory=list)
    instances: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)

    def reads(self, also: Sequence[str] = ()) -> Counter[str]:
        """How often each name is read: here, by a connection, as a part of a left side, or in the texts of `also`."""
        texts = [*also, *self.combinational, *self.clocked]
        for left, right in self.assigns:
            texts += [right] if left in self.signals else [left, right]
        for _, connections in self.instances.values():
            texts += connections.values()
        found = Counter[str]()
        for text in texts:
            found += names(text)
        return found


def map_names(text: str, change: Callable[[str], str]) -> str:
    """Text with each name replaced, but for keywords, constants and system functions."""
    return "".join(
        change(token) if _NAME.fullmatch(token) and token not in _KEYWORDS else token for token in _TOKEN.findall(text)
    )


def names(text: str) -> Counter[str]:
    """How often a text has each name."""
    return Counter(token for token in _TOKEN.findall(text) if _NAME.fullmatch(token) and token not in _KEYWORDS)


def read_module(text: str) -> Module:
    """The module in a text that begins with ``module``; raises `Unreadable`."""
    lines = text.splitlines()
    module = Module(lines[0].removeprefix("module ").partition("(")[0].strip())
    at = next(number for number, line in enumerate(lines, start=1) if line.endswith(");"))

    def block() -> str:
        nonlocal at
        start = at
        while lines[at] != "  end":
            at += 1
        at += 1
        return "\n".join(lines[start : at - 1])

    while lines[at] != "endmodule":
        line = lines[at].strip()
        at += 1
        if not line or line in _TRIGGERS or _ATTRIBUTE.fullmatch(line):
            continue
        if found := _DECLARED.fullmatch(line):
            if found[1] in ("input", "output"):
                module.ports[found[3]] = found[1]
            module.signals[found[3]] = Signal(int(found[2] or 0) + 1, found[4])
        elif found := _MEMORY.fullmatch(line):
            module.memories[found[2]] = Memory(int(found[1]) + 1, int(found[3]) + 1)
        elif line == "initial begin":
            words = [_WORD.fullmatch(word) for word in block().splitlines()]
            for word in words:
                if word is None or word[1] not in module.memories:
                    raise Unreadable(line)
            _set_words(module, [(word[1], int(word[2]), word[3]) for word in words if word is not None])
        elif found := _ASSIGN.fullmatch(line):
            module.assigns.append((found[1], found[2]))
        elif line == f"{_CLOCKED} begin":
            module.clocked.append(block())
        elif line == _CLOCKED:
            module.clocked.append(lines[at])
            at += 1
        elif line == "always @* begin":
            module.combinational.append(block().replace("    if (settle) begin end\n", ""))
        elif found := _INSTANCE.fullmatch(line):
            connections: dict[str, str] = {}
            while lines[at] != "  );":
                connection = _CONNECTION.fullmatch(lines[at])
                if connection is None:
                    raise Unreadable(lines[at])
                connections[connection[1]] = connection[2]
                at += 1
            at += 1
            module.instances[found[2]] = (found[1], connections)
        else:
            raise Unreadable(line)
    return module


def _set_words(module: Module, words: list[tuple[str, int, str]]) -> None:
    given: dict[str, dict[int, str]] = {}
    for name, address, value in words:
        if value.partition("'")[2][1:].strip("0_"):
            given.setdefault(name, {})[address] = value
    for name, found in given.items():
        module.memories[name] = replace(module.memories[name], words={**module.memories[name].words, **found})


def flatten(module: Module, find: Callable[[str], Module]) -> Module:
    """The module with all of its submodules' parts in it, named after the instances.

    find : gives the module of a name
    """
    flat = Module(
        module.name, dict(module.ports), dict(module.signals), dict(module.memories), list(module.assigns),
        list(module.combinational), list(module.clocked),
    )  # fmt: skip
    for instance, (kind, connections) in module.instances.items():
        part = flatten(find(kind), find)
        own = {*part.signals, *part.memories}

        def named(name: str, own: set[str] = own, instance: str = instance) -> str:
            return name if name == "clk" or name not in own else f"{instance}__{name}"

        flat.signals |= {named(name): signal for name, signal in part.signals.items() if name != "clk"}
        flat.memories |= {named(name): memory for name, memory in part.memories.items()}
        flat.assigns += [(map_names(left, named), map_names(right, named)) for left, right in part.assigns]
        flat.combinational += [map_names(body, named) for body in part.combinational]
        flat.clocked += [map_names(body, named) for body in part.clocked]
        for port, value in connections.items():
            if port == "clk" and value == "clk":
                continue
            if part.ports[port] == "input":
                flat.assigns.append((named(port), value))
            elif value:
                flat.assigns.append((value, named(port)))
    return flat


def prune(module: Module, also: Sequence[str] = ()) -> None:
    """Take out signals that nothing reads, not the texts of `also` either, and what assigns them as a whole."""
    used = module.reads(also)
    while True:
        unread = {left for left, _ in module.assigns if left in module.signals and not used[left]} - set(module.ports)
        if not unread:
            break
        for left, right in module.assigns:
            if left in unread:
                used -= names(right)
        module.assigns = [(left, right) for left, right in module.assigns if left not in unread]
    assigned = {left for left, _ in module.assigns}
    module.signals = {
        name: signal for name, signal in module.signals.items() if used[name] or name in assigned | set(module.ports)
    }
