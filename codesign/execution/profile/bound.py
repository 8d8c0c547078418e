"""What bounds a run or a layer: computing, the bus, the layer's shape, or latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FULL = 0.9
"""A unit or a bus that is busy for this share of the cycles, or more, bounds them by itself."""
KINDS = ("compute", "bus", "shape", "latency")
_KIND_OF = {"array": "compute", "post_processing": "compute", "reads": "bus", "writes": "bus"}
RESOURCES = tuple(_KIND_OF)
"""What can be busy: the array, post-processing, and both directions of the bus."""
_NAMES = {"array": "the array", "post_processing": "post-processing"}


@dataclass(frozen=True)
class Bound:
    """What bounds some cycles.

    kind : ``compute``: the array or post-processing is busy almost always; ``bus``: a direction of the bus is;
        ``shape``: the array is the busiest, but few of its elements are in use; ``latency``: nothing is busy almost
        always, dependent steps wait for each other
    resource : the busiest one of `RESOURCES`
    share : of the cycles, in which it is busy, 0 to 1
    used : where the array is the busiest, the share of its elements in use meanwhile; None where nobody multiplies
    """

    kind: str
    resource: str
    share: float
    used: float | None = None

    @property
    def busiest(self) -> str:
        """Which resource is busy for how long, in words."""
        text = f"{_NAMES.get(self.resource, self.resource)} busy for {100 * self.share:.0f} % of the cycles"
        return text if self.used is None else f"{text}, {100 * self.used:.0f} % of its elements in use"

    @property
    def reason(self) -> str:
        """The bound in words."""
        prefix = {"shape": "shape; ", "latency": "latency between dependent steps; "}.get(self.kind, "")
        return prefix + self.busiest


def find_bound(shares: Mapping[str, float], used: float | None) -> Bound:
    """The bound of some cycles.

    shares : of each of `RESOURCES`, the share of the cycles in which it was busy, 0 to 1
    used : multiplications of the shapes over those of all elements at each position that entered the array, 0 to 1;
        None: no layer multiplies

    The array's utilization is its busy share of the cycles times the share of its elements in use; where the second
    is the smaller one, the shape is the bound.
    """
    resource = max(RESOURCES, key=lambda name: shares[name])
    share = shares[resource]
    used = used if resource == "array" else None
    if used is not None and used < min(share, FULL):
        return Bound("shape", resource, share, used)
    return Bound(_KIND_OF[resource] if share >= FULL else "latency", resource, share, used)
