"""The ports as listed are those of the Verilog that is written."""

from __future__ import annotations

import re

import pytest

from codesign.reference.accelerator_ports import CHANNELS, accelerator_ports, port_rows
from emulator import AcceleratorConfig
from rtl.accelerator import accelerator_verilog


@pytest.mark.parametrize("bus_bytes", [8, 32])
def test_names_directions_and_widths_are_those_of_the_verilog(bus_bytes: int) -> None:
    config = AcceleratorConfig(rows=1, columns=1, bus_bytes=bus_bytes)
    (module,) = re.findall(r"^module accelerator\(.*?^endmodule", accelerator_verilog(config), re.MULTILINE | re.DOTALL)
    declared = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module, re.MULTILINE)
    assert accelerator_ports(config) == {name: (way, int(last or 0) + 1) for way, last, name in declared}


def test_every_port_is_in_its_channel_with_its_bits() -> None:
    rows = {channel: (inputs, outputs) for channel, inputs, outputs in port_rows()}
    assert list(rows) == list(CHANNELS.values())
    assert rows["clock, reset, interrupt"] == ("`clk`, `rst`", "`interrupt`")
    assert rows["AXI4 master, write data"][1] == (
        "`axi__wdata` (8 · bus_bytes), `axi__wstrb` (bus_bytes), `axi__wlast`, `axi__wvalid`"
    )
    assert rows["AXI4-Lite slave, write response"] == ("`lite__bready`", "`lite__bresp` (2), `lite__bvalid`")
    listed = re.findall(r"`(\w+)`", " ".join(text for row in rows.values() for text in row))
    assert sorted(listed) == sorted(accelerator_ports(AcceleratorConfig()))
