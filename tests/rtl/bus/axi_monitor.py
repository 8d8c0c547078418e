"""What AXI4 asks of a master, checked in every clock cycle (ARM IHI 0022, sections A3.2, A3.3 and A3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

ADDRESS = ("id", "addr", "len", "size", "burst")
PAYLOADS = {"ar": ADDRESS, "aw": ADDRESS, "w": ("data", "strb", "last")}
CHANNELS = ("ar", "aw", "w", "r", "b")
"""Pairs of bits in `handshakes` of axi_top.v, the lowest first."""
BOUNDARY = 4096
INCREMENTING = 1
MOST_BEATS = 256
MOST_OUTSTANDING = 16


@dataclass
class Traffic:
    """One direction: the bursts whose addresses were taken, as (address, beats), and how many of them have ended."""

    bursts: list[tuple[int, int]] = field(default_factory=list)
    ended: int = 0
    most_outstanding: int = 0

    @property
    def outstanding(self) -> int:
        return len(self.bursts) - self.ended

    def begin(self, address: int, beats: int) -> None:
        self.bursts.append((address, beats))
        self.most_outstanding = max(self.most_outstanding, self.outstanding)
        assert self.outstanding <= MOST_OUTSTANDING, "too many bursts outstanding"

    def summary(self, bus_bytes: int) -> dict[str, int]:
        ends = {address + beats * bus_bytes for address, beats in self.bursts}
        return {
            "bursts": len(self.bursts),
            "longest": max((beats for _, beats in self.bursts), default=0),
            "crossings": sum(address % BOUNDARY == 0 and address in ends for address, _ in self.bursts),
            "outstanding": self.most_outstanding,
        }


class Monitor:
    """Watches the master of axi_top.v from now on; a violation fails the cocotb test.

    Until `begin` and after `end` no burst may begin; in between, all must lie in the region.
    """

    def __init__(self, top: Any):
        self.top = top
        self.bus_bytes = len(top.axi__wstrb)
        self.payloads = {ch: [getattr(top, f"axi__{ch}{name}") for name in names] for ch, names in PAYLOADS.items()}
        self.waiting: dict[str, list[object]] = {}
        self.begin(0, 0)
        cocotb.start_soon(self._watch())

    def begin(self, base: int, size: int) -> None:
        """A run in the region of `size` bytes from `base` on."""
        self.base, self.size = base, size
        self.reads, self.writes = Traffic(), Traffic()
        self.sent: list[int] = []
        """Beats up to each WLAST."""
        self.beats = 0
        """Beats since the last WLAST."""

    def end(self) -> dict[str, dict[str, int]]:
        """The run is over: whatever was offered has been taken, and whatever was taken has been answered."""
        assert not self.waiting, f"{list(self.waiting)} still offered"
        assert self.reads.outstanding == 0 and self.writes.outstanding == 0, "bursts without their end"
        assert self.beats == 0 and len(self.sent) == len(self.writes.bursts), "data without their address"
        self.size = 0
        return {name: getattr(self, name).summary(self.bus_bytes) for name in ("reads", "writes")}

    async def _watch(self) -> None:
        edge = RisingEdge(self.top.clk)
        while True:
            await edge
            seen = int(self.top.handshakes.value)
            offered = {ch for k, ch in enumerate(CHANNELS) if seen >> 2 * k & 1}
            taken = {ch for k, ch in enumerate(CHANNELS) if seen >> 2 * k & 3 == 3}
            for channel in PAYLOADS:
                self._stable(channel, channel in offered, channel in taken)
            if "r" in taken and int(self.top.axi__rlast.value):
                self.reads.ended += 1
            if "b" in taken:
                self.writes.ended += 1
            if "ar" in taken:
                self.reads.begin(*self._burst("ar"))
            if "aw" in taken:
                self.writes.begin(*self._burst("aw"))
            if "w" in taken:
                self.beats += 1
                if int(self.top.axi__wlast.value):
                    self.sent.append(self.beats)
                    self.beats = 0
            if taken & {"aw", "w"}:
                self._lengths_agree()

    def _stable(self, channel: str, offered: bool, taken: bool) -> None:
        """What is offered stays as it is until it is taken."""
        shown = [signal.value for signal in self.payloads[channel]] if offered and not taken else None
        if channel in self.waiting:
            assert offered, f"{channel}valid has fallen without a handshake"
            now = shown or [signal.value for signal in self.payloads[channel]]
            assert now == self.waiting.pop(channel), f"{channel}: the payload has changed without a handshake"
        if shown is not None:
            self.waiting[channel] = shown

    def _burst(self, channel: str) -> tuple[int, int]:
        """Address and beats of the burst that is taken, which must be one of whole words in one page of the region."""
        _, address, length, size, kind = (int(signal.value) for signal in self.payloads[channel])
        beats, end = length + 1, address + (length + 1) * self.bus_bytes
        where = f"{channel} {address:#x}, {beats} beats"
        assert kind == INCREMENTING and 1 << size == self.bus_bytes and address % self.bus_bytes == 0, where
        assert beats <= MOST_BEATS and address // BOUNDARY == (end - 1) // BOUNDARY, where
        assert self.base <= address and end <= self.base + self.size, f"{where}: outside of the region"
        return address, beats

    def _lengths_agree(self) -> None:
        """WLAST is at the last beat of each burst, and only there; either of address and data may come first."""
        known = min(len(self.sent), len(self.writes.bursts))
        last = self.writes.bursts[max(known - 1, 0) : known]
        assert [beats for _, beats in last] == self.sent[max(known - 1, 0) : known], "WLAST at a wrong beat"
        if known < len(self.writes.bursts):
            assert self.beats < self.writes.bursts[known][1], "WLAST is missing"
