"""All that is refused in a file, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..reading.errors import ModelError
from .operator import Operator
from .values import Refused

MOST = 10  # refusals that are written out


class RefusedError(ModelError):
    """The file holds operators that are no layers and not the host's."""


def refusal(refused: Sequence[Refused], readers: Mapping[str, Sequence[Operator]]) -> RefusedError:
    """The error that names every operator that is refused, and the last one of those that stay float with it."""
    reasons = list(dict.fromkeys(_reason(value, readers) for value in refused))
    if len(reasons) == 1:
        return RefusedError(reasons[0] + (" is not supported" if refused[0].foreign else ""))
    more = f"; and {len(reasons) - MOST} more" if len(reasons) > MOST else ""
    what = "not supported" if all(value.foreign for value in refused) else "refused"
    return RefusedError(f"{len(reasons)} nodes are {what}: {'; '.join(reasons[:MOST])}{more}")


def _reason(value: Refused, readers: Mapping[str, Sequence[Operator]]) -> str:
    if not value.foreign:
        return value.reason
    last = _last(value.root, readers)
    follows = f"; it and what follows up to {last} are in float"
    return value.reason if last is value.root else value.reason[:-1] + follows + ")"


def _last(op: Operator, readers: Mapping[str, Sequence[Operator]]) -> Operator:
    """The last operator of the chain behind `op` before a quantizer, as long as one reads what the other makes."""
    seen = {id(op)}
    while True:
        behind = [reader for name in op.outputs for reader in readers.get(name, ())]
        if not behind or id(behind[0]) in seen or behind[0].type.endswith("QuantizeLinear"):
            return op
        op = behind[0]
        seen.add(id(op))
