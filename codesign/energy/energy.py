"""`energy`: exact counts times a table of energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.arithmetic import check_integer
from emulator.config import AcceleratorConfig

from .accesses import layer_accesses, total_accesses
from .costs import costs
from .table import EnergyTable


@dataclass(frozen=True)
class EnergyBreakdown:
    """The energy of one run, in pJ.

    units : unit of the accelerator, or memory → pJ; with "static" where the table has some for the cycles
    layers : layer → unit → pJ, in the order of the first instruction; without what is static
    counts : what the units' energies are made of, `ACCESSES` → how often
    table : the constants
    kind : how far the numbers can be trusted: exact counts times constants that somebody published
    """

    units: Mapping[str, float]
    layers: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, int]
    table: EnergyTable
    kind: str = field(default="model", init=False)

    @property
    def total(self) -> float:
        """All units together, in pJ."""
        return sum(self.units.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "unit": "pJ",
            "table": self.table.as_dict(),
            "total": self.total,
            "units": dict(self.units),
            "layers": {layer: dict(units) for layer, units in self.layers.items()},
            "counts": dict(self.counts),
        }


def energy(
    counts: Sequence[Mapping[str, int]],
    config: AcceleratorConfig,
    table: EnergyTable,
    layers: Sequence[str] = (),
    cycles: int = 0,
) -> EnergyBreakdown:
    """The energy of instructions with these counts, linear in them.

    counts : as `access_counts` gives them, one entry an instruction; or sums of them, as of `layer_accesses`
    layers : the layer of each entry, as `Program.layers`; (): no layers are told apart
    cycles : of the run, for what is static

    Equal counts give equal floats: integers are summed first, then multiplied and added in the order of `costs`.
    Raises ``ValueError`` for layers of another length.
    """
    check_integer("cycles", cycles, 0, (1 << 63) - 1)
    unit_costs = costs(config, table)

    def priced(total: Mapping[str, int]) -> dict[str, float]:
        return {unit: sum(total[name] * pj for name, pj in each.items()) for unit, each in unit_costs.items()}

    total = total_accesses(counts)
    units = priced(total)
    if table.static_pj_per_cycle:
        units["static"] = cycles * table.static_pj_per_cycle
    by_layer = layer_accesses(counts, layers) if layers else {}
    each = {layer: priced(found) for layer, found in by_layer.items()}
    return EnergyBreakdown(units, each, total, table)
