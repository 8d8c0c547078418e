"""`Post`: what follows a layer's requantizer in the same instruction: a residual add, a lookup table."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.graph import Add, LookupTable, Node, RescaledAdd

from .cut.maps import Map
from .schedule.operation import Buffer


@dataclass(eq=False)
class Post:
    """The steps behind a layer's requantizer.

    node : the last layer, whose codes are stored
    add, operand : the residual add, and the map of its other input
    adder : the ADDER's fields
    """

    node: Node
    add: Add | RescaledAdd | None = None
    operand: Map | None = None
    adder: dict[str, int] | None = None
    table: LookupTable | None = None
    table_buffer: Buffer | None = None


def adder_fields(node: Add | RescaledAdd, zero_points: tuple[int, int], swapped: bool = False) -> dict[str, int]:
    """ADDER's fields; `swapped`: the requantized code is the node's second input."""
    multipliers = node.a_multiplier, node.b_multiplier
    shifts = (node.a_shift, node.b_shift) if isinstance(node, RescaledAdd) else (0, 0)
    if swapped:
        assert not node.subtract
        multipliers, shifts, zero_points = multipliers[::-1], shifts[::-1], zero_points[::-1]
    rescaled = {}
    if isinstance(node, RescaledAdd):
        rescaled = {"a_shift": shifts[0], "b_shift": shifts[1], "multiplier": node.multiplier}
    return {
        "a_multiplier": multipliers[0],
        "b_multiplier": multipliers[1],
        "shift": node.shift,
        "a_zero_point": zero_points[0],
        "b_zero_point": zero_points[1],
        "zero_point": node.zero_point,
        "y_min": node.y_min,
        "y_max": node.y_max,
        "subtract": int(node.subtract),
        **rescaled,
    }
