"""The matrix of quantizers and families: which files are read, and whether each layer's codes are right."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compiler import compile_graph, load_model
from emulator.config import AcceleratorConfig
from emulator.graph import Graph
from emulator.graph.run import run_graph
from emulator.machine import Machine

from ...inputs import random_model_inputs
from ...validate import validate
from ..rows import row
from .generate import FAILURES

IMAGES = 4
"""Inputs that each file is validated with, at least."""
MACHINE_SHARE = 8
"""One of so many accepted files also runs on the cycle-exact machine."""
CONFIG = AcceleratorConfig(rows=8, columns=8, weight_zero_points=True, raw_outputs=True)
MIXED = ("modelopt",)
"""Quantizers whose files keep layers in float32 among those of int8, on purpose: reported, and not counted."""
LEAST_ACCEPTED = 90


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    reason : why it was refused, or what is wrong with what was read; None if all is right
    compared, differing : codes of its layers, on equal inputs, at ONNX Runtime's own arithmetic
    machine : whether the cycle-exact machine was run, and gave the emulator's outputs
    """

    quantizer: str
    family: str
    accepted: bool
    reason: str | None = None
    compared: int = 0
    differing: int = 0
    machine: bool = False

    @property
    def right(self) -> bool:
        """Read, and exact or explained in every layer."""
        return self.accepted and self.reason is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def evaluate(path: Path, machine: bool = False) -> Outcome:
    """Read ``…/QUANTIZER/FAMILY.onnx``, compare all its layers with ONNX Runtime; on the `machine` too if asked."""
    outcome = Outcome(path.parent.name, path.stem, accepted=False)
    try:
        graph = load_model(path)
    except ValueError as error:
        return replace(outcome, reason=str(error).removeprefix(f"{path}: "))
    outcome = replace(outcome, accepted=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            validation = validate(path, images=IMAGES)
    except Exception as error:  # what was accepted must be validated: anything else is a fault to be shown
        return replace(outcome, reason=f"not validated: {type(error).__name__}: {error}")
    wrong = None if validation.holds else f"not explained: {', '.join(validation.unexplained)}"
    if wrong is None and machine:
        wrong = _on_machine(graph)
    return replace(
        outcome,
        reason=wrong,
        compared=sum(layer.compared for layer in validation.reference),
        differing=sum(layer.differing for layer in validation.reference),
        machine=machine,
    )


def _on_machine(graph: Graph) -> str | None:
    """What is wrong on the machine with one input; None if nothing is."""
    inputs = random_model_inputs(graph, 1)
    expected = run_graph(graph, inputs)
    try:
        result = Machine(CONFIG).run(compile_graph(graph, CONFIG), inputs)
    except ValueError as error:
        return f"not compiled: {error}"
    for name, values in expected.items():
        if not np.array_equal(result.outputs[name], values):
            return f"output {name!r} of the machine differs from the emulator's"
    return None


def kind(reason: str) -> str:
    """A reason without names and numbers, to count its like."""
    text = re.sub(r"(['\"]).*?\1", "…", reason)
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text)[:200]


def outcomes(folder: Path, quantizers: Sequence[str] | None = None) -> Iterator[Outcome]:
    """One of each file of `folder`, in the order of their names."""
    accepted = 0
    for place in sorted(folder.iterdir()):
        if not place.is_dir() or (quantizers is not None and place.name not in quantizers):
            continue
        for path in sorted(place.glob("*.onnx")):
            outcome = evaluate(path, machine=accepted % MACHINE_SHARE == 0)
            accepted += outcome.accepted
            yield outcome


def rows(found: Sequence[Outcome], folder: Path) -> list[dict[str, Any]]:
    """A row of each quantizer, whose "families" and "refused" JSON has, and those of the whole matrix."""
    table: list[dict[str, Any]] = []
    for quantizer in dict.fromkeys(outcome.quantizer for outcome in found):
        own = [outcome for outcome in found if outcome.quantizer == quantizer]
        failures = folder / quantizer / FAILURES
        made = row(f"{quantizer}: files accepted, of {len(own)}", _percent(own), "%")
        table.append(
            made
            | {
                "families": {outcome.family: outcome.as_dict() for outcome in own},
                "refused": dict(Counter(kind(o.reason or "") for o in own if not o.accepted).most_common()),
                "not_written": json.loads(failures.read_text()) if failures.exists() else {},
            }
        )
    counted = [outcome for outcome in found if outcome.quantizer not in MIXED]
    if not counted:
        return [*table, row("matrix: files accepted", "not run: no file", "%", f"≥ {LEAST_ACCEPTED}")]
    accepted = [outcome for outcome in found if outcome.accepted]
    percent = _percent(counted)
    quantizers, families = ({getattr(o, name) for o in counted} for name in ("quantizer", "family"))
    title = f"matrix of {len(quantizers)} quantizers and {len(families)} families: {len(counted)} files, accepted"
    wrong = [outcome for outcome in accepted if not outcome.right]
    return [
        *table,
        row(title, percent, "%", f"≥ {LEAST_ACCEPTED}", percent >= LEAST_ACCEPTED),
        row("accepted files: codes compared, layer by layer", sum(o.compared for o in accepted), "codes"),
        row("accepted files: codes that differ, explained", sum(o.differing for o in accepted if o.right), "codes"),
        row("accepted files: on the machine too", sum(o.machine for o in accepted), "files"),
        row("accepted files: not exact and not explained", len(wrong), "files", "= 0", not wrong),
    ]


def _percent(found: Sequence[Outcome]) -> float:
    return 100 * sum(outcome.accepted for outcome in found) / max(len(found), 1)
