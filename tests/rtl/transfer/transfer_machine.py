"""The machine's LOAD, STORE and read arbiter before its memory, cycle by cycle; the RTL is held against that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from amaranth.lib import wiring
from amaranth.sim import Simulator

from emulator.config import AcceleratorConfig
from emulator.instructions import FORMATS, Error, Instruction, Target, Unit
from emulator.machine.bus import arbiter
from emulator.machine.compiled import compiled
from emulator.machine.memory import external
from emulator.machine.state import external as external_state
from emulator.machine.state import state
from emulator.machine.transfer import load, store
from emulator.timing import LOAD_WRITE_DELAY
from rtl.bus.read_arbiter import ReadArbiter
from rtl.transfer.load_unit import LoadUnit
from rtl.transfer.store_unit import StoreUnit

BASE = 0x7000
"""Bus address of the memory region."""
Values = dict[str, int]


@compiled
def _wires(s):
    external.wires(s)
    arbiter.wires(s)
    store.wires(s)


@compiled
def _registers(s):
    store.step(s)
    load.step(s)
    arbiter.step(s)
    external.step(s)


@compiled
def _load_ready(s):
    return load.ready(s)


@compiled
def _r_ready(s):
    return load.r_ready(s)


@compiled
def _store_ready(s):
    return store.ready(s)


class Calls:
    """The compiled functions of one state."""

    def __init__(self, s: state.State):
        self.wires, self.registers, self.r_ready = _wires.bind(s), _registers.bind(s), _r_ready.bind(s)
        self.ready = {Unit.LOAD: _load_ready.bind(s), Unit.STORE: _store_ready.bind(s)}


@dataclass
class Scenario:
    """Instructions of both units, in order, each offered from a random cycle on (`hold` percent of the cycles without).

    error_range : bytes whose bursts are refused; halt_at : cycle in which a halt is decided, −1: none but after a fault
    fetches : in how many percent of the cycles the fetch asks for a burst
    """

    loads: Sequence[Instruction] = ()
    stores: Sequence[Instruction] = ()
    latency: int = 4
    seed: int = 0
    error_range: tuple[int, int] = (1 << 31, 0)
    halt_at: int = -1
    fetches: int = 0
    hold: int = 0


@dataclass
class Trace:
    """Per cycle the inputs and outputs of each component; when what has ended, and with which faults."""

    load: list[tuple[Values, Values]] = field(default_factory=list)
    store: list[tuple[Values, Values]] = field(default_factory=list)
    arbiter: list[tuple[Values, Values]] = field(default_factory=list)
    faults: list[tuple[int, Unit, Error, int]] = field(default_factory=list)
    finished: list[tuple[int, Unit, int]] = field(default_factory=list)


def make_state(config: AcceleratorConfig, rng: np.random.Generator, memory_bytes: int) -> state.State:
    """A machine with random memories."""
    made = state.allocate(config)._replace(memory=rng.integers(0, 256, memory_bytes, dtype=np.uint8))
    for pad in (made.activation, made.weight, made.operand, made.output, made.table):
        pad[:] = rng.integers(-128, 128, pad.shape)
    made.parameters[:] = rng.integers(0, 256, made.parameters.shape)
    made.control["memory_bytes"] = memory_bytes
    return made


def copy_state(s: state.State) -> state.State:
    """A copy that keeps what the memories hold."""
    return state.State(*(part.copy() if isinstance(part, np.ndarray) else part for part in s))


def _clear(s: state.State, scenario: Scenario) -> None:
    for array in (*s.load, *s.store, *s.arbiter, s.bus, s.ports, s.issue):
        array[...] = np.zeros((), array.dtype)
    s.control["halt"] = 0
    external_state.configure(s.external, scenario.latency, scenario.seed, *scenario.error_range)
    s.external.registers["running"] = 1  # its clock, which a run's first fetch starts


def _bytes(values: Any) -> int:
    return int.from_bytes(np.asarray(values).astype(np.uint8).tobytes(), "little")


def _port(s: state.State, calls: Calls, unit: Unit) -> Values:
    port = s.ports[unit]
    shown = {"port.issued.ready": int(calls.ready[unit]())}
    names = ["finished", "fault", "busy"]
    names += ["signals", "finished_index"] if port["finished"] else []
    names += ["fault_code", "fault_index"] if port["fault"] else []
    return shown | {f"port.{name}": int(port[name]) for name in names}


def _load_cycle(s: state.State, calls: Calls) -> tuple[Values, Values]:
    bus, r = s.bus[0], s.load.registers[0]
    mine = int(bus["r_valid"] and bus["r_owner"] == load._LOAD_OWNER)
    inputs = {
        "memory_bytes": int(s.control["memory_bytes"][0]), "grant": int(bus["grant"] == arbiter.LOAD_GRANT),
        "rvalid": mine, "rlast": int(bus["r_last"]), "rresp": 2 * int(bus["r_error"]), "rdata": _bytes(s.read_data),
    }  # fmt: skip
    outputs = {"request": int(bus["load_request"])} | {
        f"write_{target.name.lower()}": 0
        for target in Target
        if target != Target.DEPTHWISE or s.config["depthwise_taps"][0]
    }
    if bus["load_request"]:
        outputs |= {"request_address": int(bus["load_address"]), "request_length": int(bus["load_beats"]) - 1}
    if mine:
        outputs["rready"] = int(bus["r_ready"])
    if r["complete"] >> (LOAD_WRITE_DELAY - 1) & 1:
        slot = r["writing"]
        outputs[f"write_{Target(int(s.load.places['target'][slot])).name.lower()}"] = 1
        outputs |= {"write_address": int(s.load.places["row"][slot]), "write_data": _bytes(s.load.rows[slot])}
    return inputs, outputs | _port(s, calls, Unit.LOAD)


def _store_cycle(s: state.State, calls: Calls) -> tuple[Values, Values]:
    bus = s.bus[0]
    inputs = {
        "memory_base": BASE, "memory_bytes": int(s.control["memory_bytes"][0]), "awready": int(bus["aw_ready"]),
        "wready": int(bus["w_ready"]), "bvalid": int(bus["b_valid"]), "bresp": 2 * int(bus["b_error"]),
    }  # fmt: skip
    outputs = {
        "awvalid": int(bus["aw_valid"]), "wvalid": int(bus["w_valid"]), "outstanding": int(bus["writes_outstanding"]),
    }  # fmt: skip
    if bus["aw_valid"]:
        outputs |= {"awaddr": BASE + int(bus["aw_address"]), "awlen": int(bus["aw_beats"]) - 1}
    if bus["w_valid"]:
        beat = s.store.beat[0]
        used = np.zeros(int(s.config["bus_bytes"][0]), np.uint8)
        used[beat["first"] : beat["end"]] = 255
        outputs |= {"wlast": int(bus["w_last"]), "wdata": _bytes(s.store.data[beat["slot"]] & used)}
        outputs["wstrb"] = sum(1 << k for k in range(int(beat["first"]), int(beat["end"])))
    return inputs, outputs | _port(s, calls, Unit.STORE)


def _arbiter_cycle(s: state.State, calls: Calls) -> tuple[Values, Values]:
    bus = s.bus[0]
    inputs = {"memory_base": BASE, "load_ready": int(calls.r_ready())} | {
        name: int(bus[field]) for name, field in (("arready", "ar_ready"), ("rvalid", "r_valid"), ("rlast", "r_last"))
    }
    for owner in ("fetch", "load"):
        inputs |= {f"{owner}_request": int(bus[f"{owner}_request"]), f"{owner}_address": int(bus[f"{owner}_address"])}
        inputs[f"{owner}_length"] = int(bus[f"{owner}_beats"] - 1) % 256
    outputs = {
        "arvalid": int(bus["ar_valid"]), "outstanding": int(bus["reads_outstanding"]),
        "fetch_grant": int(bus["grant"] == arbiter.FETCH_GRANT), "load_grant": int(bus["grant"] == arbiter.LOAD_GRANT),
        "fetch_valid": int(bus["r_valid"] and not bus["r_owner"]), "load_valid": int(bus["r_valid"] and bus["r_owner"]),
    }  # fmt: skip
    if bus["ar_valid"]:
        outputs |= {"araddr": BASE + int(bus["ar_address"]), "arlen": int(bus["ar_beats"]) - 1}
    if bus["r_valid"]:
        outputs["rready"] = int(bus["r_ready"])
    return inputs, outputs


def run_machine(s: state.State, scenario: Scenario, rng: np.random.Generator, limit: int = 20000) -> Trace:
    """Clear, then run until everything has ended."""
    trace = Trace()
    _clear(s, scenario)
    bus, control, calls = s.bus[0], s.control[0], Calls(s)
    queues = {Unit.LOAD: list(scenario.loads), Unit.STORE: list(scenario.stores)}
    index = dict.fromkeys(queues, 0)
    for cycle in range(limit):
        halt, clear = int(control["halt"]), int(cycle == 0)
        busy = any(s.ports[unit]["busy"] for unit in queues)
        working = not clear and (busy or (not halt and any(queues.values())))
        if working and not halt and not bus["fetch_request"] and rng.integers(100) < scenario.fetches:
            bus["fetch_request"], bus["fetch_beats"] = 1, rng.integers(1, 5)
            bus["fetch_address"] = 32 * rng.integers(0, len(s.memory) // 32 - 1)
        calls.wires()
        cycles = {
            Unit.LOAD: _load_cycle(s, calls), Unit.STORE: _store_cycle(s, calls), None: _arbiter_cycle(s, calls)
        }  # fmt: skip
        cycles[None][0].update(halts=0, clear=clear)
        if trace.arbiter:
            trace.arbiter[-1][0]["halts"] = halt
        for unit, queue in queues.items():
            if clear:  # what ended the run before may still show
                del cycles[unit][1]["port.issued.ready"]
            valid = bool(queue) and not halt and not clear and rng.integers(100) >= scenario.hold
            inputs, outputs = cycles[unit]
            inputs |= {"port.halt": halt, "port.clear": clear, "port.issued.valid": int(valid)}
            issue, port = s.issue[unit], s.ports[unit]
            issue["take"], issue["index"] = valid and outputs.get("port.issued.ready", 0), index[unit]
            if valid:
                inputs["port.issued.payload"] = int.from_bytes(queue[0].encode(), "little") | index[unit] << 256
            if issue["take"]:
                taken = queue.pop(0)
                s.issue_fields[unit, : len(FORMATS[taken.opcode])] = list(taken.fields.values())
                index[unit] += 1
            if port["fault"]:
                trace.faults.append((cycle, unit, Error(int(port["fault_code"])), int(port["fault_index"])))
            if port["finished"]:
                trace.finished.append((cycle, unit, int(port["finished_index"])))
        decided = cycle == scenario.halt_at or any(s.ports[unit]["fault"] for unit in queues)
        ended = not working and not clear and not bus["reads_outstanding"] and not bus["grant"]
        if bus["grant"] == arbiter.FETCH_GRANT or halt:
            bus["fetch_request"] = 0
        place = int(s.store.overlaps["place"][0])
        row = _bytes(s.output[place % len(s.output)])
        calls.registers()
        for unit in queues:
            cycles[unit][1]["port.work"] = int(s.ports[unit]["work"])
        inputs, outputs = cycles[Unit.STORE]
        outputs["output_read"] = outputs["port.work"]
        if outputs["output_read"]:
            outputs["output_address"], inputs["row"] = place, row
        for unit, kept in ((Unit.LOAD, trace.load), (Unit.STORE, trace.store), (None, trace.arbiter)):
            kept.append(cycles[unit])
        if decided:
            control["halt"] = 1
        if ended:
            return trace
    raise AssertionError(f"the units do not end: {s.load.registers}, {s.store.registers}, {s.bus}")


def _member(component: wiring.Component, path: str) -> Any:
    target: Any = component
    for name in path.split("."):
        target = getattr(target, name)
    return target


def replay(component: wiring.Component, cycles: Sequence[tuple[Values, Values]]) -> None:
    """Give a component each cycle's inputs; its outputs must be those recorded. `row`: what the scratchpad answers."""
    paths = {path for inputs, outputs in cycles for path in (*inputs, *outputs)} - {"row"}
    members = {path: _member(component, path) for path in paths}

    async def bench(ctx: Any) -> None:
        held: Values = {}
        for cycle, (inputs, outputs) in enumerate(cycles):
            for path in inputs.keys() - {"row"}:
                if held.get(path) != inputs[path]:
                    target = members[path]
                    ctx.set(target.as_value() if hasattr(target, "as_value") else target, inputs[path])
                    held[path] = inputs[path]
            for path, expected in outputs.items():
                shown = ctx.get(members[path])
                if path == "wdata":
                    strobes = outputs["wstrb"]
                    shown &= sum(255 << 8 * k for k in range(strobes.bit_length()) if strobes >> k & 1)
                assert shown == expected, f"cycle {cycle}: {path} is {shown:#x}, not {expected:#x}"
            await ctx.tick()
            if "row" in inputs:
                ctx.set(component.output_data, inputs["row"])

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def replay_all(config: AcceleratorConfig, traces: Sequence[Trace]) -> None:
    """Hold all three components against runs that follow each other."""
    replay(LoadUnit(config), [cycle for trace in traces for cycle in trace.load])
    replay(StoreUnit(config), [cycle for trace in traces for cycle in trace.store])
    replay(ReadArbiter(), [cycle for trace in traces for cycle in trace.arbiter])
