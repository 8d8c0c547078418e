"""The ports of the Verilog's top module, channel by channel, from the accelerator's wiring signature."""

from __future__ import annotations

from amaranth.lib import wiring

from emulator.config import AcceleratorConfig
from rtl.accelerator import accelerator_signature

CHANNELS = {
    "": "clock, reset, interrupt",
    "axi__aw": "AXI4 master, write address",
    "axi__w": "AXI4 master, write data",
    "axi__b": "AXI4 master, write response",
    "axi__ar": "AXI4 master, read address",
    "axi__r": "AXI4 master, read data",
    "lite__aw": "AXI4-Lite slave, write address",
    "lite__w": "AXI4-Lite slave, write data",
    "lite__b": "AXI4-Lite slave, write response",
    "lite__ar": "AXI4-Lite slave, read address",
    "lite__r": "AXI4-Lite slave, read data",
}
"""Beginning of the ports' names → what they are; a port belongs to the longest one that its name begins with."""

CLOCKING = {"clk": ("input", 1), "rst": ("input", 1)}
"""What every synchronous module has besides its signature."""


def accelerator_ports(config: AcceleratorConfig) -> dict[str, tuple[str, int]]:
    """{name: ("input" or "output", bits)} of the module `accelerator`."""
    signature = accelerator_signature(config)
    ports = dict(CLOCKING)
    for path, member, value in signature.flatten(signature.create()):
        ports["__".join(map(str, path))] = ("input" if member.flow is wiring.In else "output", len(value))
    return ports


def port_rows() -> list[tuple[str, str, str]]:
    """(channel, its inputs, its outputs), each port with its bits, in terms of bus_bytes where they depend on it."""
    narrow, wide = (accelerator_ports(AcceleratorConfig(bus_bytes=size)) for size in (8, 16))
    rows: dict[str, dict[str, list[str]]] = {prefix: {"input": [], "output": []} for prefix in CHANNELS}
    for name, (direction, bits) in narrow.items():
        each, rest = divmod(wide[name][1] - bits, 8)
        if rest or (each and bits != 8 * each):
            raise ValueError(f"{name} must be as wide as a multiple of bus_bytes, or as a constant, not {bits} bits")
        width = str(bits) if not each else "bus_bytes" if each == 1 else f"{each} · bus_bytes"
        prefix = max((prefix for prefix in CHANNELS if name.startswith(prefix)), key=len)
        rows[prefix][direction].append(f"`{name}`" if width == "1" else f"`{name}` ({width})")
    return [
        (CHANNELS[prefix], *(", ".join(ports[way]) for way in ("input", "output"))) for prefix, ports in rows.items()
    ]
