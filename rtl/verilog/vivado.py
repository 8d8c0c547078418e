"""Attributes by which Vivado's IP integrator sees bus interfaces in the ports of the accelerator (AMD UG994).

``axi`` is the AXI4 master ``m_axi``, ``lite`` the AXI4-Lite slave ``s_axi``; clock, reset (active high) and interrupt
are signal interfaces of their own.
"""

from __future__ import annotations

import re

_BUSES = {"axi": ("m_axi", "AXI4"), "lite": ("s_axi", "AXI4LITE")}
_SIGNALS = {
    "clk": ("clock:1.0 clk CLK", "XIL_INTERFACENAME clk, ASSOCIATED_BUSIF m_axi:s_axi, ASSOCIATED_RESET rst"),
    "rst": ("reset:1.0 rst RST", "XIL_INTERFACENAME rst, POLARITY ACTIVE_HIGH"),
    "interrupt": ("interrupt:1.0 interrupt INTERRUPT", "XIL_INTERFACENAME interrupt, SENSITIVITY LEVEL_HIGH"),
}
_PORT = re.compile(r"^  wire (?:.* )?(?:input|output) \d+ .*\\(\S+)$")


def _attributes(port: str) -> list[str]:
    """The RTLIL lines in front of a port."""
    bus, _, signal = port.partition("__")
    info, parameter = _SIGNALS.get(port, ("", ""))
    if info:
        info = f"xilinx.com:signal:{info}"
    elif bus in _BUSES:
        name, protocol = _BUSES[bus]
        info = f"xilinx.com:interface:aximm:1.0 {name} {signal.upper()}"
        parameter = f"XIL_INTERFACENAME {name}, PROTOCOL {protocol}" if signal == "awaddr" else ""
    given = {"X_INTERFACE_INFO": info, "X_INTERFACE_PARAMETER": parameter}
    return [f'  attribute \\{name} "{value}"' for name, value in given.items() if value]


def mark_interfaces(text: str, top: str) -> str:
    """RTLIL with these attributes at the ports of the module `top`."""
    lines, inside = list[str](), False
    for line in text.splitlines():
        if line.startswith("module "):
            inside = line == f"module \\{top}"
        if inside and (port := _PORT.match(line)):
            lines += _attributes(port[1])
        lines.append(line)
    return "\n".join(lines) + "\n"
