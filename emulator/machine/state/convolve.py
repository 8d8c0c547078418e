"""CONVOLVE's registers in both dataflows, and what is on its way through the array."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import Opcode
from ...timing import GROUPS_IN_FLIGHT, WINDOW_LATENCY, group_write_delay, sum_write_delay
from ..compiled import MAX_FIELDS, fields_record
from .records import Records, record
from .window import WINDOW

REGISTERS = record(
    "now",  # cycles since the run began
    "stopped",
    "bank_reads",  # accumulator banks that lane 0 reads in the next cycle
    # The next instruction; the cycle from which it is ready; which of its two users have taken it.
    "held",
    "index",
    "ready_at",
    "walker_has",
    "ahead_has",
)
POSITION = record(
    "turn",
    "issued",
    "first",  # of its tile (weight stationary) or group (output stationary)
    "tile_start",
    "position",
    "place",
    "group",
    "carry",
    "final",
    "row",
    "inside",
    "address",
    "weight_row",
    "parameters",
    "zero_point",
    "signals",
    "index",
    "tile",
)
"""A position on its way through the pipeline."""
LOADER = record(
    "active",
    "shadow_full",
    "loaded",
    "reading",
    "rows_left",
    "address",
    "entry",  # with the address: the parameter entry of the tile
    "tile_row",
    "parameters",  # of the first block
    "block",  # of the next tile
    "further_blocks",
    "tiles_left",
    "index",
    "tile",  # the slot of the tile in the shadow
)
STREAMER = record(
    "waiting",
    "elsewhere",  # the first tile carries on sums of other tiles than the last one
    "first_row",
    "first_parameters",
    "block",
    "further_blocks",
    "swap",
    "carry",
    "row",
    "parameters",
    "zero_point",
    "signals",
    "index",
    "tile",
    "start_left",  # cycles until the sums of the last tile's first position can be carried on
    "before_left",  # cycles until those of the first position of the tile before that can
    "turn_left",  # cycles until those of the last turn's position can
    "stages",  # cycles until the last turn's position is issued
    "drain",  # cycles until the last sum is written
)
ENGINE = record(
    "active",
    "due",
    "more",
    "rest",
    "way",  # cycles until the last event's first position is issued
    "drain",
    "row",
    "left",
    "carry",
    "parameters",
    "slot",  # of the group's sums
    # Sums to start from.
    "start_running",
    "start_place",
    "start_count",
    "start_carry",
    "start_row",
    "start_parameters",
    "start_slot",
    "start_way",  # cycles until the last one has reached lane 0
    # Results.
    "put",
    "get",
    "write_running",
    "write_place",
    "write_row",
)
WALKER = record(
    "begins_at",
    "next_fresh",
    "next_count",
    "next_slot",
    "running",
    "place",
    "first_tile",
    "count",
    "weight_first",
    "weight_row",
    "parameters",
    "zero_point",
    "index",
    "slot",
    "tile",
    "stages",
)
GROUP = record("row", "count", "final", "signals", "index", "slot")
"""A group in the array, or its results on their way."""
START = record("valid", "carry", "row", "parameters", "slot", "place")
"""A sum to start from, on its way to lane 0."""


class Convolve(NamedTuple):
    """Registers, the next instruction, the window of the current one, and what is on its way, by cycles.

    operands (cycles, rows), weights (tiles, rows, columns) : of positions on their way
    sums, flags (cycles or groups · rows, columns) : likewise
    loader, streamer : weight stationary; engine, walker, groups, events, starts, moves : output stationary
    """

    registers: Records
    held_raw: NDArray[np.int64]
    held: Records
    window: Records
    line: Records
    operands: NDArray[np.int32]
    weights: NDArray[np.int16]
    sums: NDArray[np.int64]
    flags: NDArray[np.uint8]
    loader: Records
    streamer: Records
    engine: Records
    walker: Records
    current: Records
    groups: Records
    events: NDArray[np.int64]
    starts: Records
    moves: NDArray[np.int64]


def allocate(config: AcceleratorConfig) -> Convolve:
    """An idle unit."""
    raw = np.zeros(MAX_FIELDS, np.int64)
    rows, columns = config.rows, config.columns
    grouped = config.dataflow == "output_stationary"
    longest = group_write_delay(config) + rows if grouped else sum_write_delay(config)
    length = 1 << (WINDOW_LATENCY + longest).bit_length()
    tiles = 8 if grouped else 4
    slots = GROUPS_IN_FLIGHT * rows if grouped else length
    return Convolve(
        registers=np.zeros(1, REGISTERS),
        held_raw=raw,
        held=fields_record(raw, Opcode.CONVOLVE),
        window=np.zeros(1, WINDOW),
        line=np.zeros(length, POSITION),
        operands=np.zeros((length, rows), np.int32),
        weights=np.zeros((tiles, rows, columns), np.int16),
        sums=np.zeros((slots, columns), np.int64),
        flags=np.zeros((slots, columns), np.uint8),
        loader=np.zeros(1, LOADER),
        streamer=np.zeros(1, STREAMER),
        engine=np.zeros(1, ENGINE),
        walker=np.zeros(1, WALKER),
        current=np.zeros(1, GROUP),
        groups=np.zeros(GROUPS_IN_FLIGHT, GROUP),
        events=np.zeros(length, np.int64),
        starts=np.zeros(length, START),
        moves=np.zeros(length, np.int64),
    )
