"""Processor time of training steps over float, for networks of several kinds, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

import qat
from emulator import Arithmetic
from qat.layers.layer import Requantized
from qat.layers.weighted import Weighted

from .qat_networks import NETWORKS, batch, seeded
from .qat_step import NARROW, overflow_share, threads, training_step
from .rows import median_ratio, row

ROUNDS = 5
# {network: the targets without overflow and through 16 bits}
TARGETS = {
    "convolutions": (1.1, 1.8),
    "MobileNetV2-like": (1.4, 2.5),
    "depthwise": (1.4, 2.5),
    "MLP": (1.8, 3.0),
    "LSTM of 20 steps": (12.0, 15.0),
}
HEATED = ("MobileNetV2-like", "depthwise")
"""Few inputs make a sum of theirs: as calibrated, one of 125, and of 32, overflows."""


def rows() -> list[dict[str, Any]]:
    """For each network: the ratio at 32 bits, at 16 bits saturating, and the share of sums that overflow there.

    A value is the median ratio of rounds whose steps are taken in turns, in processor time.
    """
    with threads(1):
        return [found for name in NETWORKS for found in network_rows(name)]


def network_rows(name: str) -> list[dict[str, Any]]:
    """The rows of one network."""
    samples, labels = batch(name)
    models = {"float": seeded(name)}
    for which, arithmetic in (("wide", Arithmetic()), ("narrow", NARROW)):
        models[which] = qat.prepare(seeded(name), (samples[:1],), arithmetic)
        qat.calibrate(models[which], [samples])
    if name in HEATED:
        heat(models["narrow"])
    share = overflow_share(models["narrow"], samples)
    times = processor_times({which: training_step(model, samples, labels) for which, model in models.items()})
    table = []
    for which, what, target in zip(("wide", "narrow"), ("QAT", "16 bits saturating"), TARGETS[name], strict=True):
        ratio = median_ratio(times[which], times["float"])
        label = f"training step, {name}, {what}: processor time over float"
        table.append(row(label, ratio, "×", f"≤ {target:g}", ratio <= target))
    return [*table, row(f"sums of the latter that overflow, {name}", 100 * share, "%", "≥ 10", share >= 0.1)]


@torch.no_grad()
def heat(model: qat.PreparedModel) -> None:
    """Lower the scales of all results until a sum at the end of the accumulator makes a code at its end.

    Then the codes of the next layer are large, and so are its sums.
    """
    scales = {name: quantizer.scale() for name, quantizer in model.quantizers.activations().items()}
    most = model.quantizers.arithmetic.accumulator_range[1]
    for layer in model.quantizers:
        sources = [scales[source] for source in layer.sources]
        # A layer that only moves codes has the scale of what it reads.
        scales.setdefault(layer.name, sources[0])
        if isinstance(layer, Requantized):
            least, last = layer.output.code_range
            largest = sum(sources)
            if isinstance(layer, Weighted):
                largest = most * sources[0] * layer.weight.scale().max() / (last - least)
            scales[layer.name] = torch.minimum(scales[layer.name], largest)
            layer.output.scale.set(scales[layer.name])


def processor_times(calls: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """{name: processor seconds of each round}, taken in turns after one call of each that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return times
