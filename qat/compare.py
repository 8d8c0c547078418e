"""`compare`: float, post-training quantization and training, side by side on the user's own measure."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from emulator import Arithmetic

from .calibration.adaround import AdaRound
from .calibration.calibrate import calibrate
from .calibration.float_pass import Batches
from .model import PreparedModel
from .prepare import prepare
from .scales.settings import Settings


@dataclass(frozen=True)
class Comparison:
    """values : {row: what `evaluate` gave}, of ``float``, ``PTQ``, ``PTQ+`` and, where it was trained, ``QAT``
    models : {row: the prepared model in eval mode}, to export or to train further
    """

    values: dict[str, float]
    models: dict[str, PreparedModel] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, float]:
        """The values, for JSON."""
        return dict(self.values)

    def __str__(self) -> str:
        start = self.values["float"]
        lines = [f"{name:<6}{value:>12.6g}{value - start:>+12.6g}" for name, value in self.values.items()]
        return "\n".join([f"{'':<6}{'value':>12}{'to float':>12}", *lines])


def compare(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    batches: Batches,
    evaluate: Callable[[nn.Module], float],
    *,
    train: Callable[[PreparedModel], object] | None = None,
    arithmetic: Arithmetic | None = None,
    settings: Settings | Mapping[str, Mapping[str, Any]] | None = None,
    equalize: bool = True,
    bias_correction: bool = True,
    adaround: AdaRound | bool = True,
    seed: int = 0,
) -> Comparison:
    """What quantization costs a model, and what post-training quantization and training win back, in one call.

    model, example_inputs, arithmetic, settings : as for `prepare`; the model stays as it is
    batches : as for `calibrate`; all of them are kept in memory
    evaluate : the measure, for instance the accuracy on held-out data, of a copy of the float model or of a prepared
    one, both called alike; in eval mode and without gradients
    train : trains the prepared model that it is given, in train mode and in place; None leaves the last row out
    equalize, bias_correction, adaround : what PTQ+ has beyond min-max PTQ, as for `calibrate`
    seed : of torch's generators at the start of each `evaluate` and of `train`

    QAT starts from PTQ+. With a deterministic `evaluate` and `train` the result is, too; torch's generators are as
    before afterwards. Raises ``ValueError`` where `evaluate` does not give a finite number.
    """
    if not callable(evaluate):
        raise TypeError(f"evaluate must be a function of a model, not {evaluate!r}")
    if train is not None and not callable(train):
        raise TypeError(f"train must be a function of a model or None, not {train!r}")
    kept = list(batches)
    plain = prepare(model, example_inputs, arithmetic, settings=settings)
    calibrate(plain, kept)
    better = copy.deepcopy(plain)
    calibrate(better, kept, equalize=equalize, bias_correction=bias_correction, adaround=adaround)
    models = {"PTQ": plain, "PTQ+": better}
    if train is not None:
        models["QAT"] = copy.deepcopy(better).train()
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(seed)
            train(models["QAT"])
    values = {
        name: _value(candidate, name, evaluate, seed)
        for name, candidate in {"float": copy.deepcopy(model), **models}.items()
    }
    return Comparison(values, models)


@torch.no_grad()
def _value(model: nn.Module, name: str, evaluate: Callable[[nn.Module], float], seed: int) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        value = float(evaluate(model.eval()))
    if not math.isfinite(value):
        raise ValueError(f"evaluate must give a finite number, not {value} of {name}")
    return value
