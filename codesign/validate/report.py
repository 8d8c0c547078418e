"""A `Validation` for people: tables, and one sentence."""

from __future__ import annotations

from ..peers.runtimes import NAMES
from ..table import Table, short
from .comparison import LayerComparison
from .validation import Validation

UNEXPLAINED = "UNEXPLAINED"


def report(found: Validation, title: str) -> list[Table | str]:
    """The tables, and the sentence last."""
    runtime = NAMES[found.runtime]
    same = found.reference is found.layers
    parts: list[Table | str] = []
    if same:
        parts.append(_layers(f"{title}: emulator against {runtime}", found.layers))
    else:
        own = f"{title}: at its own arithmetic, where {runtime} may differ"
        parts.append(_layers(own, found.layers, "its arithmetic"))
        parts.append(_layers(f"{title}: at {runtime}'s arithmetic", found.reference))
    if any(layer.differing for layer in found.session):
        differing = tuple(layer for layer in found.session if layer.differing)
        parts.append(_layers(f"{title}: layers that differ in sessions with default options", differing))
    if found.outputs:
        outputs = Table(
            f"{title}: the model's outputs, end to end", ("output", "type", "values", "differ", "largest", "why"), 2
        )
        for output in found.outputs:
            why = found.reason(output) or UNEXPLAINED
            outputs.add(output.name, output.kind, output.compared, output.differing, f"{output.largest:.3g}", why)
        parts.append(outputs)
    parts += _without(found)
    where = "" if same else f"at {runtime}'s arithmetic, "
    differing = any(layer.differing for layer in (*found.reference, *found.session))
    if found.unexplained:
        names = ", ".join(short(name) for name in found.unexplained)
        parts.append(f"{where}the emulator and {runtime} DIFFER, for no known reason, in {names}")
    elif differing:
        parts.append(f"{where}all differences are explained by {_reasons(found)}")
    else:
        parts.append(f"{where}nothing differs")
    return parts


def _reasons(found: Validation) -> str:
    reasons = [layer.reason for layer in (*found.reference, *found.session) if layer.reason is not None]
    return " and ".join(dict.fromkeys(reasons))


def _layers(title: str, layers: tuple[LayerComparison, ...], otherwise: str = UNEXPLAINED) -> Table:
    made = Table(title, ("layer", "operator", "codes", "differ", "largest", "from a tie", "overflows", "why"), 2)
    for layer in layers:
        tie = None if layer.tie_distance is None else f"{layer.tie_distance:.1e}"
        if layer.counterpart is None:
            why = "no codes in the file" if layer.within is None else f"with {short(layer.within, 24)}"
            made.add(layer.name, layer.operator, None, None, None, None, layer.overflows, why)
            continue
        why = "equal" if not layer.differing else layer.reason or otherwise
        made.add(layer.name, layer.operator, layer.compared, layer.differing, layer.largest, tie, layer.overflows, why)
    return made


def _without(found: Validation) -> list[str]:
    lines = []
    within = [layer for layer in found.layers if layer.counterpart is None and layer.within is not None]
    if within:
        pairs = ", ".join(f"{layer.name} with {layer.within}" for layer in within)
        lines.append(f"the file rounds these with a layer behind them, and there they are compared: {pairs}")
    alone = [layer.name for layer in found.layers if layer.counterpart is None and layer.within is None]
    if alone:
        lines.append(f"the file has no codes of {', '.join(alone)}: only the model's outputs show them")
    return lines
