"""The cocotb side of the vector players: everything happens in the Verilog; Python waits for the end."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge


@cocotb.test()
async def play(top: Any) -> None:
    """Ends when every player has played all its vectors."""
    await RisingEdge(top.finished)
