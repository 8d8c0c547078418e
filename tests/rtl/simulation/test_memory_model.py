"""The memory around the simulated accelerator and the machine's: random bursts, the same in every wire, every cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator import AcceleratorConfig
from emulator.machine.compiled import compiled
from emulator.machine.memory import external
from emulator.machine.state import external as external_state
from emulator.machine.state.state import State, allocate
from rtl.simulation import build
from rtl.simulation.script import NO_ERRORS

CYCLES = 3000
REGION = 1 << 14
BASE = 0x8000_0000
SOURCES = [Path("rtl/simulation/memory_model.v"), Path(__file__).with_name("traffic.v")]


@compiled
def _wires(s):
    return external.wires(s)


@compiled
def _step(s):
    return external.step(s)


def traffic(rng: np.random.Generator, bus_bytes: int) -> list[dict[str, int]]:
    """What is offered in each cycle: bursts of all lengths, some beyond the region, and how busy each channel is."""
    burst = min(256, 4096 // bus_bytes)
    busy = rng.random(4) ** 2 * 0.9 + 0.1
    made = []
    for _ in range(CYCLES):
        go = rng.random(4) < busy
        line = dict(zip(("ar_go", "aw_go", "w_go", "r_ready"), map(int, go), strict=True))
        for name in ("ar", "aw"):
            beats = int(rng.choice([1, 2, rng.integers(1, burst + 1), rng.integers(1, 9)]))
            page = int(rng.integers(0, REGION // 4096 + (rng.random() < 0.02)))
            line[f"{name}_address"] = 4096 * page + int(rng.integers(0, burst - beats + 1)) * bus_bytes
            line[f"{name}_beats"] = beats
        line["first"], line["end"] = sorted(map(int, rng.integers(0, bus_bytes + 1, 2)))
        line["data"] = int.from_bytes(rng.bytes(bus_bytes), "little")
        made.append(line)
    return made


def write_traffic(folder: Path, lines: list[dict[str, int]]) -> None:
    rows = []
    for line in lines:
        strobe = ((1 << line["end"]) - 1) ^ ((1 << line["first"]) - 1)
        numbers = [line[name] for name in ("ar_go", "aw_go", "w_go", "r_ready")]
        numbers += [BASE + line["ar_address"], line["ar_beats"] - 1, BASE + line["aw_address"], line["aw_beats"] - 1]
        rows.append(" ".join(f"{number:x}" for number in [*numbers, line["data"], strobe]) + "\n")
    (folder / "traffic.txt").write_text("".join(rows), encoding="ascii")


class Master:
    """The registers of `traffic.v`, around the machine's memory."""

    def __init__(self, state: State, lines: list[dict[str, int]], bus_bytes: int):
        self.state, self.lines, self.bus_bytes = state, lines, bus_bytes
        self.bus: Any = state.bus
        self._wires, self._step = _wires.bind(state), _step.bind(state)
        self.owed: list[tuple[int, int]] = []
        self.beat = self.reads = self.writes = 0

    def play(self) -> list[str]:
        return [self.cycle(line) for line in self.lines]

    def cycle(self, line: dict[str, int]) -> str:
        s, bus, width = self.state, self.bus, self.bus_bytes
        self._wires()
        bus["r_ready"] = line["r_ready"]
        wire = {name: int(bus[name][0]) for name in bus.dtype.names}
        self._step()
        flags = "".join(str(wire[name]) for name in ("ar_ready", "aw_ready", "w_ready", "r_valid", "b_valid"))
        data = bytes(s.read_data) if wire["r_valid"] else bytes(width)
        ended = 2 * wire["r_last"] + wire["r_error"] if wire["r_valid"] else 0
        text = f"{flags} {ended:x} {wire['b_valid'] & wire['b_error']:x} {data[::-1].hex()}"
        ar_taken, aw_taken = wire["ar_valid"] & wire["ar_ready"], wire["aw_valid"] & wire["aw_ready"]
        if not wire["ar_valid"] or ar_taken:
            bus["ar_valid"] = line["ar_go"] and self.reads < 15
            bus["ar_address"], bus["ar_beats"] = line["ar_address"], line["ar_beats"]
        self.reads += ar_taken - (wire["r_valid"] & line["r_ready"] & wire["r_last"])
        if not wire["w_valid"] or wire["w_ready"]:
            self.offer_beat(line)
        if aw_taken:
            self.owed.append((wire["aw_address"], wire["aw_beats"]))
        if not wire["aw_valid"] or aw_taken:
            bus["aw_valid"] = line["aw_go"] and self.writes < 14
            bus["aw_address"], bus["aw_beats"] = line["aw_address"], line["aw_beats"]
        self.writes += aw_taken - wire["b_valid"]
        return text

    def offer_beat(self, line: dict[str, int]) -> None:
        s, bus, width = self.state, self.bus, self.bus_bytes
        bus["w_valid"] = line["w_go"] and bool(self.owed)
        if not bus["w_valid"][0]:
            return
        address, beats = self.owed[0]
        bus["w_address"], bus["w_last"] = address + self.beat * width, self.beat + 1 == beats
        s.store.beat["first"], s.store.beat["end"] = line["first"], line["end"]
        s.store.data[int(s.store.beat["slot"][0])] = np.frombuffer(line["data"].to_bytes(width, "little"), np.uint8)
        self.beat += 1
        if self.beat == beats:
            self.owed.pop(0)
            self.beat = 0


CASES = [  # bus_bytes, latency, stalls, refused bytes
    (8, 1, False, None),
    (16, 32, True, (5000, 5003)),
    (32, 7, True, None),
    (16, 1024, True, (0, 0)),
    (8, 3, True, (REGION - 1, REGION - 1)),
]


@pytest.mark.parametrize(("bus_bytes", "latency", "stalls", "error_range"), CASES)
def test_every_wire_in_every_cycle(
    bus_bytes: int, latency: int, stalls: bool, error_range: tuple[int, int] | None, simulator: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(latency)
    seed = int(rng.integers(1, 1 << 32)) if stalls else 0
    first, last = error_range or NO_ERRORS
    image = rng.bytes(REGION)
    lines = traffic(rng, bus_bytes)
    parameters = {
        "BUS_BYTES": bus_bytes, "BASE": BASE, "REGION": REGION, "LATENCY": latency, "SEED": seed, "ERROR_FIRST": first,
        "ERROR_LAST": last,
    }  # fmt: skip
    built = build(
        [(path.name, path.read_text(encoding="utf-8")) for path in SOURCES], "traffic", simulator, parameters=parameters
    )
    words = np.frombuffer(image, np.uint8).reshape(-1, bus_bytes)[:, ::-1]
    (tmp_path / "image_1.bin").write_bytes(words.tobytes())
    write_traffic(tmp_path, lines)
    built.play(tmp_path)
    *log, counts = (tmp_path / "log.txt").read_text(encoding="ascii").splitlines()

    state = allocate(AcceleratorConfig(bus_bytes=bus_bytes))._replace(memory=np.frombuffer(image, np.uint8).copy())
    external_state.configure(state.external, latency, seed, first, last)
    expected = Master(state, lines, bus_bytes).play()
    assert len(log) == len(expected) == CYCLES
    for cycle, (simulated, machine) in enumerate(zip(log, expected, strict=True)):
        assert simulated == machine, f"cycle {cycle}"
    assert (tmp_path / "memory_1.bin").read_bytes() == state.memory.tobytes()
    assert counts.split()[1] == "0", "the traffic keeps the protocol"
