"""Modules that have many instances of a kind, with loops in their place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .kind import INDEX, Place, arrays, loop, simplify, statements
from .module import Module, Unreadable, flatten, names, prune, read_module

LEAST = 8
"""Instances of a kind from which on they become loops: shorter ones are slower than straight code."""
_MODULE = re.compile(r"^module (\w+)\(.*?^endmodule\n", re.DOTALL | re.MULTILINE)
_INSTANCE = re.compile(r"^  (\w+) \w+ \($", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_INITIAL = re.compile(r"^  initial begin\n    (\w+)\[0\] = (\S+);\n(?:    \1\[\d+\] = \2;\n)*  end\n", re.MULTILINE)


def roll(text: str) -> str:
    """The same Verilog with arrays and loops for each kind of which a module has `LEAST` instances.

    Memories of equal words are set by a loop as well.

    text : as `write_verilog` writes it; a module that is not as Yosys writes it stays as it is
    """
    texts = {found[1]: found[0] for found in _MODULE.finditer(text)}
    modules: dict[str, Module] = {}

    def module(name: str) -> Module:
        if name not in texts:
            raise Unreadable(name)
        if name not in modules:
            modules[name] = read_module(texts[name])
        return modules[name]

    for name, own in texts.items():
        kinds = [kind for kind, count in Counter(_INSTANCE.findall(own)).items() if count >= LEAST and kind in texts]
        if kinds:
            try:
                rolled = _rolled(module(name), {kind: flatten(module(kind), module) for kind in kinds})
            except Unreadable:
                continue
            text = text.replace(own, rolled)
    return _INITIAL.sub(_equal_words, text)


def has_loops(text: str) -> bool:
    """Whether `roll` has made loops over instances in this Verilog."""
    return f"for (logic [31:0] {INDEX} = " in text


def _equal_words(found: re.Match[str]) -> str:
    count = found[0].count("\n") - 2
    return f"  initial for (int word = 0; word < {count}; word = word + 1) {found[1]}[word] = {found[2]};\n"


@dataclass(frozen=True)
class _Group:
    """All instances of a kind; connections: port → what it is connected to, of each, in the order of their numbers."""

    place: Place
    module: Module
    connections: list[dict[str, str]]


def _rolled(parent: Module, kinds: Mapping[str, Module]) -> str:
    groups = [_group(parent, kind, module) for kind, module in kinds.items()]
    inputs = [text for group in groups for text in _inputs(group)]
    common = [value for group in groups for value in group.place.shared.values()]
    prune(parent, [*inputs, *common])
    read = {port for port, way in parent.ports.items() if way == "output"} | set(parent.reads([*inputs, *common]))
    parts = list[str]()
    for group in groups:
        parts += [*arrays(group.module, group.place), *statements(group.module, group.place)]
        for port in (port for port, way in group.module.ports.items() if way == "output"):
            for index, one in enumerate(group.connections):
                if not read.isdisjoint(names(one.get(port, ""))):
                    parts.append(f"  assign {one[port]} = {group.place.array(port)}[{index}];\n")
    return _written(parent, [*parts, *inputs])


def _group(parent: Module, kind: str, module: Module) -> _Group:
    """Takes the instances out of the parent."""
    chosen = [name for name, (of, _) in parent.instances.items() if of == kind]
    chosen.sort(key=lambda name: [int(number) for number in _NUMBER.findall(name)])
    connections = [parent.instances.pop(name)[1] for name in chosen]
    simplify(module)
    inputs = [port for port, way in module.ports.items() if way == "input"]
    if any(not one.get(port) for one in connections for port in inputs):
        raise Unreadable(f"{kind} with an open input")
    given = {port: {one[port] for one in connections} for port in inputs}
    shared = {port: min(values) for port, values in given.items() if len(values) == 1 and min(values) in parent.signals}
    return _Group(Place(kind, len(chosen), shared), module, connections)


def _inputs(group: _Group) -> Iterator[str]:
    """What the instances' inputs take: another one's output, something that repeats, or each its own."""
    place, ports = group.place, group.module.ports
    outputs = {
        value: (index, port)
        for index, one in enumerate(group.connections)
        for port, value in one.items()
        if ports[port] == "output" and value
    }
    for port in (port for port, way in ports.items() if way == "input" and port not in place.shared):
        given = [one[port] for one in group.connections]
        ways = Counter(
            (outputs[value][1], index - outputs[value][0]) for index, value in enumerate(given) if value in outputs
        )
        period = next(p for p in range(1, place.count + 1) if given == (given[:p] * place.count)[: place.count])
        target, alone, text = place.array(port), list(range(place.count)), ""
        if ways and ways.most_common(1)[0][1] >= place.count // 2:
            (out, distance), _ = ways.most_common(1)[0]
            alone = [index for index in alone if outputs.get(given[index]) != (index - distance, out)]
            text = _moved(place, target, place.array(out), distance)
        elif period <= place.count // 2:
            repeated = f"{target}__repeated"
            yield f"  logic [{group.module.signals[port].width - 1}:0] {repeated} [0:{period - 1}];\n"
            yield from (f"  assign {repeated}[{index}] = {given[index]};\n" for index in range(period))
            for start in range(0, place.count, period):
                line = f"        {target}[{INDEX} + 32'd{start}] = {repeated}[{INDEX}];"
                text += loop(min(period, place.count - start), line)
            alone = []
        text += "".join(f"      {target}[{index}] = {given[index]};\n" for index in alone)
        yield f"  always_comb begin\n{text}  end\n"


def _moved(place: Place, target: str, source: str, distance: int) -> str:
    """Each instance takes what the one so many places before it gives."""
    to, origin = max(distance, 0), max(-distance, 0)
    line = f"        {target}[{INDEX} + 32'd{to}] = {source}[{INDEX} + 32'd{origin}];"
    return loop(place.count - abs(distance), line)


def _written(module: Module, parts: list[str]) -> str:
    """Verilog of a module and of what comes in the place of some of its instances."""
    lines = [f"module {module.name}({', '.join(module.ports)});\n"]
    for name, signal in module.signals.items():
        given = "" if signal.initial is None else f" = {signal.initial}"
        lines.append(f"  {module.ports.get(name, '')} logic [{signal.width - 1}:0] {name}{given};\n")
    for name, memory in module.memories.items():
        words = "".join(f"    {name}[{at}] = {value};\n" for at, value in memory.words.items())
        lines.append(f"  logic [{memory.width - 1}:0] {name} [0:{memory.depth - 1}];\n")
        lines.append(f"  initial begin\n{words}  end\n" if words else "")
    lines += [f"  assign {left} = {right};\n" for left, right in module.assigns]
    lines += [f"  always @* begin\n{body}\n  end\n" for body in module.combinational]
    lines += [f"  always @(posedge clk) begin\n{body}\n  end\n" for body in module.clocked]
    for name, (kind, connections) in module.instances.items():
        ports = ",\n".join(f"    .{port}({value})" for port, value in connections.items())
        lines.append(f"  {kind} {name} (\n{ports}\n  );\n")
    return "".join([*lines, *parts, "endmodule\n"])
