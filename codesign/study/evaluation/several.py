"""Of several networks, the runs as one: each network's sample after the other, from cold scratchpads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..definition.study import Network, Study
from ..engine.task import Outcome
from .tasks import RUN

SUMMED = ("cycles", "macs", "weight_bytes")
LARGEST = ("memory_bytes", "program_bytes")


def run_roles(study: Study) -> dict[str, Network]:
    """Role of a ``run`` task → the network that it runs."""
    if not study.further:
        return {RUN: study.network}
    return {f"{RUN} {network.name}": network for network in study.networks}


def whole_run(study: Study, done: Mapping[str, Outcome]) -> Mapping[str, Any]:
    """What a point's runs are together, as one ``run`` outcome tells it; empty unless all are there and good."""
    roles = run_roles(study)
    outcomes = {network.name: done.get(role) for role, network in roles.items()}
    runs = {name: one.values for name, one in outcomes.items() if one is not None and one.failure is None}
    if len(runs) < len(roles):
        return {}
    return joined(runs) if study.further else next(iter(runs.values()))


def joined(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One run of {network: its run}, in this order.

    Cycles, multiplications, counters and bytes of weights are summed; external memory and instructions are those of the
    largest network, for which a system must have room; a layer's name has its network's in front, as
    ``ResNet-8: conv``.
    """
    telemetry: Counter[str] = Counter()
    layers: list[dict[str, Any]] = []
    accesses: dict[str, Any] = {}
    timeline: list[list[Any]] = []
    begin = 0
    for network, run in runs.items():
        telemetry.update(run["telemetry"])
        layers += [_moved(row, network, begin) for row in run["layers"]]
        accesses |= {_name(network, layer): counts for layer, counts in run["accesses"].items()}
        timeline += [
            [unit, _name(network, layer), begin + start, begin + end] for unit, layer, start, end in run["timeline"]
        ]
        begin += run["cycles"]
    return {
        **{name: sum(run[name] for run in runs.values()) for name in SUMMED},
        **{name: max(run[name] for run in runs.values()) for name in LARGEST},
        "telemetry": dict(telemetry),
        "layers": layers,
        "accesses": accesses,
        "timeline": timeline,
    }


def _moved(row: Mapping[str, Any], network: str, begin: int) -> dict[str, Any]:
    """A layer's row with its network's name, in cycles of all runs."""
    names = {"name": _name(network, row["name"]), "nodes": [_name(network, node) for node in row["nodes"]]}
    return {**row, **names, "start": begin + row["start"], "end": begin + row["end"]}


def _name(network: str, layer: str) -> str:
    """What belongs to no layer has the network's name alone."""
    return f"{network}: {layer}" if layer else network
