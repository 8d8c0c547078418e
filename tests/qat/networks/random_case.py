"""Random networks with an arithmetic and settings of all kinds, prepared and calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from emulator.arithmetic import ADDERS
from qat.scales.observers import OBSERVERS
from qat.scales.scale import SCALES
from qat.scales.settings import WEIGHT_OBSERVERS
from tests.qat.networks import images, normalized, randomized
from tests.qat.networks.random_network import Pick, RandomNetwork, Shape, random_network


@dataclass(frozen=True)
class Case:
    """A network, how it is quantized, and what it is run with.

    rules : of the settings; options : of the calibration; trained : whether a step of training follows it
    spread : how much wider the data are than those of the calibration
    """

    network: RandomNetwork
    shape: Shape
    arithmetic: Arithmetic
    rules: dict[str, dict[str, Any]]
    options: dict[str, bool]
    trained: bool
    seed: int
    spread: float

    def data(self, count: int) -> Tensor:
        """Samples for the model."""
        return images(count, self.seed, self.shape) * self.spread


def random_case(pick: Pick, rounding: str, overflow: str) -> Case:
    """Any bits, widths, scales, observers and graph; half of the accumulators are narrow."""
    bits = pick(*pick(range(8, 15), range(8, 49)))
    most = min(31, 63 - max(bits, 24))
    arithmetic = Arithmetic(
        activation_bits=pick(8, 8, *range(2, 9)), weight_bits=pick(8, 8, *range(2, 9)), accumulator_bits=bits,
        overflow=overflow, multiplier_bits=pick(min(24, most), min(8, most), *range(1, most + 1)), rounding=rounding,
        adder=pick(*ADDERS),
    )  # fmt: skip
    if rounding == "double" and overflow == "saturate" and pick(False, True):
        arithmetic = Arithmetic.tflm()
    rules: dict[str, dict[str, Any]] = {
        "*": {
            "scale": pick(*SCALES), "symmetric": pick(False, True), "per_channel": pick(True, False),
            "observer": pick(*OBSERVERS), "percentile": 90.0, "weight_observer": pick(*WEIGHT_OBSERVERS),
            "symmetric_weights": pick(True, True, False),
        }
    }  # fmt: skip
    for pattern in ("input", "steps.0.0*"):
        rules[pattern] = {
            "activation_bits": pick(*range(arithmetic.activation_bits, 1, -1)),
            "weight_bits": pick(*range(arithmetic.weight_bits, 1, -1)),
        }
    options = {name: pick(False, False, True) for name in ("equalize", "bias_correction")}
    network, shape = random_network(pick)
    return Case(network, shape, arithmetic, rules, options, pick(False, True), pick(*range(1000)), pick(1.0, 3.0))


def seeded_case(seed: int, rounding: str, overflow: str) -> Case:
    """`random_case` from a seed."""
    rng = np.random.default_rng(seed)
    return random_case(lambda *choices: choices[int(rng.integers(len(choices)))], rounding, overflow)


def prepared(case: Case) -> qat.PreparedModel | None:
    """The case's network, ready to run; None where a scale is beyond what so few multiplier bits can hold."""
    torch.manual_seed(case.seed)
    for module in case.network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            module.reset_parameters()
    x = images(5, case.seed, case.shape)
    model = normalized(case.network, x) if case.seed % 2 else randomized(case.network, case.seed)
    try:
        made = qat.prepare(model, x[:1], case.arithmetic, settings=case.rules)
        qat.calibrate(made, [x], **case.options)
        if case.trained:
            # Routes and devices add float gradients in other orders: they agree to some 1e-7 of the largest, from equal
            # parameters and equal codes. Adam's usual eps of 1e-8 makes steps of the full rate of what is left near 0.
            optimizer = torch.optim.Adam(made.train().parameters(), lr=1e-3, eps=1e-3)
            made(x).square().mean().backward()
            optimizer.step()
            made.eval()(x)
    except ValueError as error:
        if "raise multiplier_bits" in str(error):
            return None
        raise
    return made.eval()
