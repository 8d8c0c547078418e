"""`compare_ranges`: whether a deployed model's data still fit the ranges that it was calibrated with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import Graph, Tensor, run_graph_counts
from emulator.graph.inputs import check_inputs

from .ranges import RangeStatistics, range_statistics

# Thresholds of `LayerRange`.
GROWTH, FLOOR, DEVIATIONS = 1.25, 0.005, 3
CHANGE = 2


@dataclass(frozen=True, kw_only=True)
class LayerRange:
    """An input or a layer: its range in calibration and on new data, and what differs.

    name : of the tensor; calibrated, found : the statistics

    `findings` are words of:

    - ``cut``: more values are cut off by the range. The share in calibration, with two more values, as even data of the
      same kind leave a range of their minimum and maximum that often, may grow by a quarter and by half a percent; what
      is above it by more than three standard deviations of such a count is a finding.
    - ``overflows``: the same for sums that left the accumulator.
    - ``narrow``: the used range is less than half as wide, and so is the codes' standard deviation: a bit lies idle.
    - ``wide``: the standard deviation is more than twice as large.
    - ``moved``: the mean is away by more than a standard deviation.

    A count takes some hundred values to prove anything, a mean or a deviation some ten samples.
    """

    name: str
    calibrated: RangeStatistics
    found: RangeStatistics

    @property
    def findings(self) -> tuple[str, ...]:
        """What differs, nothing on data like those of calibration."""
        before, after = self.calibrated, self.found
        spread = max(before.deviation, 0.5)  # of a tensor of one code: its rounding
        findings = {
            "cut": _grown(before.cut, before.codes, after.cut, after.codes),
            "overflows": _grown(before.overflows, before.codes, after.overflows, after.codes),
            "narrow": CHANGE * (after.high - after.low) < before.high - before.low
            and CHANGE * after.deviation < before.deviation,
            "wide": after.deviation > CHANGE * spread,
            "moved": abs(after.mean - before.mean) > spread,
        }
        return tuple(word for word, holds in findings.items() if holds)

    @property
    def drifted(self) -> bool:
        """Whether anything differs."""
        return bool(self.findings)

    @property
    def due(self) -> bool:
        """Whether another range would serve the new data better; what is ``wide`` or ``moved`` still fits into it."""
        return bool(set(self.findings) - {"wide", "moved"})


@dataclass(frozen=True)
class RangeComparison:
    """layers : inputs and layers in the order in which they run."""

    layers: tuple[LayerRange, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the inputs and layers that drifted; the first is the nearest to the cause."""
        return tuple(layer.name for layer in self.layers if layer.drifted)

    @property
    def due(self) -> bool:
        """Whether a recalibration is due, which it is for a single layer."""
        return any(layer.due for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        layers = [asdict(layer) | {"findings": list(layer.findings)} for layer in self.layers]
        return {"due": self.due, "drifted": list(self.drifted), "layers": layers}

    def __str__(self) -> str:
        verdict = "a recalibration is due" if self.due else "no recalibration is due"
        lines = [f"{layer.name}: {', '.join(layer.findings)}" for layer in self.layers if layer.drifted]
        return "\n".join([*lines, f"{len(lines)} of {len(self.layers)} tensors drifted; {verdict}"])


def compare_ranges(graph: Graph, batches: Iterable[Mapping[str, NDArray[Any]]]) -> RangeComparison:
    """Compare the emulator's telemetry of new data with the statistics that the model's file has of its calibration.

    graph : as ``load_onnx`` gives it, of a file that `export_onnx` wrote
    batches : {input: array} each, as ``run_graph`` takes them; an input of int8 codes has nothing cut off

    Some hundred samples are enough. The criterion is `LayerRange`'s. Raises ``ValueError`` where the file has no such
    statistics, or has statistics of a tensor that is not in the graph, and for no batches.
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a Graph, as load_onnx gives it, not {type(graph).__name__}")
    calibrated = _calibrated(graph)
    inputs = {tensor.name: tensor for tensor in graph.inputs}
    counts = {name: np.zeros(256, np.int64) for name in calibrated}
    overflows, cut = dict.fromkeys(calibrated, 0), dict.fromkeys(inputs, 0)
    for batch in batches:
        codes, counters = run_graph_counts(graph, batch)
        codes |= check_inputs(graph.inputs, batch)
        for name in calibrated:
            counts[name] += np.bincount(codes[name].reshape(-1).astype(np.int64) + 128, minlength=256)
            if name in inputs:
                cut[name] += _cut(batch[name], inputs[name])
            else:
                # A linear layer of a sequence computes in NAME/codes, of which NAME is the transpose.
                counter = counters.get(f"{name}/codes", counters[name])
                overflows[name] += int(counter.overflows.sum())
    if not all(count.any() for count in counts.values()):
        raise ValueError("batches must hold at least one sample, not none")
    return RangeComparison(
        tuple(
            LayerRange(
                name=name,
                calibrated=before,
                found=range_statistics(counts[name], overflows[name], (before.bottom, before.top), cut.get(name)),
            )
            for name, before in calibrated.items()
        )
    )


def _calibrated(graph: Graph) -> dict[str, RangeStatistics]:
    known = [tensor.name for tensor in (*graph.inputs, *graph.nodes)]
    facts = graph.metadata.get("layers", {})
    entries = {name: facts[name]["statistics"] for name in facts if "statistics" in facts[name]}
    if not entries:
        raise ValueError("graph must hold the ranges of a calibration: call qat.record_ranges before qat.export_onnx")
    for name in entries:
        if name not in known:
            raise ValueError(f"statistics must be of an input or a layer of the graph, not of {name!r}")
    result = {}
    for name in sorted(entries, key=known.index):
        try:
            result[name] = RangeStatistics(**entries[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"statistics of {name!r}: {error}") from None
    return result


def _cut(x: NDArray[Any], tensor: Tensor) -> int:
    """Values of `x` whose rounded code lies beyond the legal ones."""
    if x.dtype == np.int8:
        return 0
    rounded = np.rint(x.astype(np.float32) / np.float32(tensor.scale)) + np.float32(tensor.zero_point)
    return int(((rounded < tensor.y_min) | (rounded > tensor.y_max)).sum())


def _grown(before: int, total_before: int, after: int, total_after: int) -> bool:
    """Whether `after` of `total_after` is more than data like those of `before` of `total_before` explain."""
    expected = total_after * (GROWTH * (before + 2) / total_before + FLOOR)
    return after > expected + DEVIATIONS * math.sqrt(expected)
