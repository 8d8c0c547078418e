"""One Verilog module per kind of component, however many instances it has.

Amaranth elaborates every submodule on its own; an array of equal elements becomes as many equal modules. `Placed` puts
an `Instance` of a named module into the design instead, and `modules` writes each kind once.
"""

from collections.abc import Mapping

from amaranth import ClockSignal, Instance, ResetSignal, Value
from amaranth.back import verilog
from amaranth.lib import wiring


class Placed:
    """An instance of a separately written module, with the component's members as attributes.

    component : gives the signature; `modules` writes its logic, once, under the name `kind`
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


def write_verilog(component: wiring.Component, name: str) -> str:
    """Verilog of a component (and of what it elaborates itself) as the module `name`."""
    return verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)


def modules(kinds: Mapping[str, wiring.Component]) -> str:
    """Verilog of all kinds, one module each, in the order given."""
    return "\n".join(write_verilog(component, kind) for kind, component in kinds.items())
