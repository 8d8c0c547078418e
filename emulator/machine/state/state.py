"""`State`: all registers, memories and wires of the machine, as arrays that the compiled cycle loop changes in place.

A cycle has two phases. Phase 1 computes the wires from the registers alone; phase 2 steps the units, readers of a
memory before its writers. What a unit leaves in `ports` is the value of those registers in the next cycle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import ROUNDINGS
from ...config import AcceleratorConfig
from ...instructions import DEPTHWISE_SUMS, DEPTHWISE_WORDS, PARAMETER_ENTRIES, WEIGHT_ZERO_POINT_ROW, Unit
from ...registers import COUNTERS, LANE_COUNTERS
from ...timing import (
    GROUP_DELAYS,
    code_delay,
    counters_delay,
    depthwise_delay,
    depthwise_round_trip,
    settings_delay,
    sum_read_delay,
    sum_write_delay,
)
from ..compiled import MAX_FIELDS
from . import arbiter, convolve, depthwise, external, fetch, load, post_process, sequencer, store
from .records import Records, record

Integers = NDArray[np.int64]
Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]

CONFIG = record(
    "rows",
    "columns",
    "bus_bytes",
    "activation_depth",
    "weight_depth",
    "operand_depth",
    "output_depth",
    "accumulator_depth",
    "accumulator_bits",
    "activation_bits",
    "weight_bits",
    "multiplier_bits",
    "saturate",
    "rounding",
    "output_stationary",
    "counters",
    "weight_zero_points",
    "raw_outputs",
    "rescaled_adder",
    "depthwise_taps",
    "depthwise_pitch",
    "lane_columns",
    "code_delay",  # this and what follows: of emulator.timing
    "settings_delay",
    "counters_delay",
    "depthwise_delay",
    "depthwise_round_trip",
    "sum_read_delay",
    "sum_write_delay",
    "group_lead",
    "group_read_delay",
    "group_commit_delay",
    "group_product_delay",
    "group_write_delay",
    "group_weight_delay",
    "group_due",
)
CONTROL = record(
    "now",  # cycle of the run: 0 takes the start, 1 clears
    "running",
    "stopping",  # a run stops
    "halt",  # what everything else sees of it, a cycle later
    "program_address",
    "program_bytes",
    "memory_bytes",
    "reset_at",  # cycle in which a soft reset is asked for, 0 for never
    "resetting",
    "idle",  # of the cycle before: no unit is busy and the fetch waits for nothing
    "quiet",  # of the cycle before: nothing moves, and nothing is left to decode or to make room for
    "found_error",  # of the cycle before: the fault of the oldest instruction
    "found_index",
    "waiting",  # of the cycle before: an instruction heads a queue
    "head_index",  # the oldest one
    "quiet_cycles",  # cycles in a row in which it was quiet, at most SETTLE_CYCLES
    "stopping_cycles",  # cycles since the run began to stop, at most SETTLE_CYCLES
    "error",
    "error_index",
    "captured_error",  # why it stops
    "captured_index",
)
ISSUE = record("take", "opcode", "index")
PORT = record(
    "finished", "signals", "finished_index", "fault", "fault_code", "fault_index", "busy", "work", "positions"
)
BUS = record(
    "ar_valid",
    "ar_address",
    "ar_beats",
    "fetch_request",
    "fetch_address",
    "fetch_beats",
    "load_request",
    "load_address",
    "load_beats",
    "grant",
    "aw_valid",
    "aw_address",
    "aw_beats",
    "w_valid",
    "w_address",
    "w_last",
    "ar_ready",
    "r_valid",
    "r_last",
    "r_error",
    "aw_ready",
    "w_ready",
    "b_valid",
    "b_error",
    "r_owner",
    "r_ready",
    "reads_outstanding",
    "writes_outstanding",
)


class State(NamedTuple):
    """Everything that changes in a run.

    config, control, bus : one record each
    memory : the region's bytes
    activation (depth, rows), weight, operand, output (depth, columns) : the scratchpads' codes
    sums, overflowed (depth, columns) : the accumulators
    parameters (entries, bytes in use, columns), table (codes, columns) : as loaded
    depthwise_weights (words, taps, columns), waiting_sums, waiting_flags (sums, columns) : for DEPTHWISE
    lane_counters (3, columns) : in the order of `LANE_COUNTERS`
    issue, ports : one record per unit; issue_fields (units, MAX_FIELDS) : of the instruction being taken
    read_data (bus_bytes) : the beat on the bus while `r_valid`
    load, convolve, post_process, depthwise, store, arbiter, external, fetch, front : registers of their modules
    counters : in the order of `COUNTERS`
    timeline (instructions, 3) : unit, cycle of the take, cycle of `finished`, or −1; may have no entries
    """

    config: Records
    control: Records
    memory: Bytes
    activation: Codes
    weight: Codes
    operand: Codes
    output: Codes
    sums: Integers
    overflowed: Bytes
    parameters: Bytes
    table: Codes
    depthwise_weights: Codes
    waiting_sums: Integers
    waiting_flags: Bytes
    lane_counters: Integers
    issue: Records
    issue_fields: Integers
    ports: Records
    bus: Records
    read_data: Bytes
    load: load.Load
    convolve: convolve.Convolve
    post_process: post_process.PostProcess
    depthwise: depthwise.Depthwise
    store: store.Store
    arbiter: arbiter.Arbiter
    external: external.External
    fetch: fetch.Fetch
    front: sequencer.Front
    counters: Integers
    timeline: Integers


def config_record(config: AcceleratorConfig) -> Records:
    """The config as one record of integers."""
    arithmetic, made = config.arithmetic, np.zeros(1, CONFIG)
    coded = {
        "saturate": arithmetic.overflow == "saturate",
        "rounding": ROUNDINGS.index(arithmetic.rounding),
        "output_stationary": config.dataflow == "output_stationary",
        "rescaled_adder": arithmetic.adder == "rescaled",
        "code_delay": code_delay(arithmetic),
        "settings_delay": settings_delay(config),
        "counters_delay": counters_delay(config),
        "depthwise_delay": depthwise_delay(config.depthwise_taps),
        "depthwise_round_trip": depthwise_round_trip(config.depthwise_taps),
    } | {delay.__name__: delay(config) for delay in (sum_read_delay, sum_write_delay, *GROUP_DELAYS)}
    for name in CONFIG.names or ():
        made[name] = coded[name] if name in coded else getattr(config if hasattr(config, name) else arithmetic, name)
    return made


def allocate(config: AcceleratorConfig) -> State:
    """The machine at power-on: everything 0, without external memory."""
    columns, units = config.columns, len(Unit)
    return State(
        config=config_record(config),
        control=np.zeros(1, CONTROL),
        memory=np.zeros(0, np.uint8),
        activation=np.zeros((config.activation_depth, config.rows), np.int8),
        weight=np.zeros((config.weight_depth, columns), np.int8),
        operand=np.zeros((config.operand_depth, columns), np.int8),
        output=np.zeros((config.output_depth, columns), np.int8),
        sums=np.zeros((config.accumulator_depth, columns), np.int64),
        overflowed=np.zeros((config.accumulator_depth, columns), np.uint8),
        parameters=np.zeros((PARAMETER_ENTRIES, WEIGHT_ZERO_POINT_ROW + 1, columns), np.uint8),
        table=np.zeros((1 << config.arithmetic.activation_bits, columns), np.int8),
        depthwise_weights=np.zeros((DEPTHWISE_WORDS, config.depthwise_taps, columns), np.int8),
        waiting_sums=np.zeros((DEPTHWISE_SUMS, columns), np.int64),
        waiting_flags=np.zeros((DEPTHWISE_SUMS, columns), np.uint8),
        lane_counters=np.zeros((len(LANE_COUNTERS), columns), np.int64),
        issue=np.zeros(units, ISSUE),
        issue_fields=np.zeros((units, MAX_FIELDS), np.int64),
        ports=np.zeros(units, PORT),
        bus=np.zeros(1, BUS),
        read_data=np.zeros(config.bus_bytes, np.uint8),
        load=load.allocate(config),
        convolve=convolve.allocate(config),
        post_process=post_process.allocate(config),
        depthwise=depthwise.allocate(config),
        store=store.allocate(config),
        arbiter=arbiter.allocate(config),
        external=external.allocate(config),
        fetch=fetch.allocate(config),
        front=sequencer.allocate(config),
        counters=np.zeros(len(COUNTERS), np.int64),
        timeline=np.full((0, 3), -1, np.int64),
    )


def clear_run(state: State) -> None:
    """What the start of a run does: every register back to 0; memories keep their content."""
    _clear(
        (
            *(state.load, state.convolve, state.post_process, state.depthwise, state.store),
            *(state.arbiter, state.fetch, state.front),
            *(state.control, state.lane_counters, state.issue, state.issue_fields, state.ports, state.bus),
            state.counters,
        )
    )


def _clear(registers: Any) -> None:
    if isinstance(registers, tuple):
        for part in registers:
            _clear(part)
    else:
        registers[...] = np.zeros((), registers.dtype)
