"""The cocotb side of tops that play files by themselves: Python waits for the end."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge


@cocotb.test()
async def play(top: Any) -> None:
    """Ends when the top has played everything."""
    await RisingEdge(top.finished)
