"""One Verilog module per kind of component, however many instances it has.

Amaranth elaborates every submodule on its own; an array of equal elements becomes as many equal modules. `Placed` puts
an `Instance` of a named module into the design instead, and `write_verilog` writes each kind once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from amaranth import ClockSignal, Instance, ResetSignal, Value
from amaranth.back import rtlil, verilog
from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring

from .plain_names import rename
from .registers import clock_choices, repeat_bits
from .settled import settle
from .vivado import mark_interfaces
from .widths import extend_operands

TOP = "accelerator"
"""The module with the buses."""
OLDEST_YOSYS = (0, 40)
"""As Amaranth's own Verilog writer asks for."""


@contextmanager
def incomplete() -> Iterator[None]:
    """An exception of the block, Ctrl-C too, leaves components that were never used, of which Amaranth says nothing."""
    try:
        yield
    except BaseException:
        warnings.simplefilter("ignore", UnusedElaboratable)
        raise


class Placed:
    """An instance of a separately written module, with the component's members as attributes.

    component : gives the signature; `write_verilog` writes its logic, once, under the name `kind`
    """

    def __init__(self, component: wiring.Component, kind: str, index: object = ""):
        self.interface = component.signature.create(path=(f"{kind}{index}",))
        ports: dict[str, Value] = {}
        for path, member, value in component.signature.flatten(self.interface):
            direction = "o" if member.flow is wiring.Out else "i"
            ports[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        self.instance = Instance(kind, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)

    def __getattr__(self, name: str):
        return getattr(self.interface, name)


def write_verilog(kinds: Mapping[str, wiring.Component], prefix: str = "") -> str:
    """Verilog of all kinds, a module each and one for what they elaborate themselves; `prefix`: of all modules' names.

    Choices stay ``if`` and ``case``: simulations take a tenth less time than with an assignment for each multiplexer.
    """
    yosys = verilog.find_yosys(lambda version: version >= OLDEST_YOSYS)

    def run(text: str, *passes: str) -> str:
        script = "\n".join((f"read_rtlil <<rtlil\n{text}\nrtlil", *passes))
        return yosys.run(["-q", "-"], script, ignore_warnings=True)

    elaborated = "\n".join(rtlil.convert(part, name=kind, emit_src=False) for kind, part in kinds.items())
    named = mark_interfaces(rename(elaborated, prefix), f"{prefix}{TOP}")
    unwanted = " ".join(f"-remove {name}" for name in ("generator", "top", "src", "amaranth.*"))
    assigned = run(
        named,
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {unwanted}",
        f"attrmap -modattr {unwanted}",
        "write_rtlil",
    )
    return repeat_bits(clock_choices(settle(run(extend_operands(assigned), "write_verilog"))))
