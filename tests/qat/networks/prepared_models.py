"""Whole and random networks, prepared, each with 64 samples: what tests of any batch, thread and device go through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from emulator.arithmetic import OVERFLOWS, ROUNDINGS
from tests.qat.networks import normalized
from tests.qat.networks.random_case import prepared, seeded_case
from tests.qat.test_networks import COUNT, NARROW, NETWORKS

Model = tuple[qat.PreparedModel, tuple[Tensor, ...]]

ARITHMETICS = {"default": Arithmetic(), "narrow": NARROW}
RANDOM = 12


def whole(name: str, arithmetic: Arithmetic) -> Model:
    """A network in its usual source code."""
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    return qat.prepare(normalized(make(), *inputs), inputs, arithmetic).eval(), inputs


def drawn(seed: int) -> Model:
    """A random network; its rounding and overflow mode go round with the seed."""
    case = seeded_case(seed, ROUNDINGS[seed % len(ROUNDINGS)], OVERFLOWS[seed % len(OVERFLOWS)])
    model = prepared(case)
    if model is None:
        pytest.skip("a scale of this network is beyond its multiplier's bits")
    return model, (case.data(COUNT),)


def models(*names: str) -> dict[str, Callable[[], Model]]:
    """The whole networks of these names in two arithmetics, and the random ones."""
    made: dict[str, Callable[[], Model]] = {}
    for name in names:
        for kind, arithmetic in ARITHMETICS.items():
            made[f"{name}, {kind}"] = lambda name=name, arithmetic=arithmetic: whole(name, arithmetic)
    return made | {f"random {seed}": lambda seed=seed: drawn(seed) for seed in range(RANDOM)}


def training(model: qat.PreparedModel) -> qat.PreparedModel:
    """The model in train(), dropout off."""
    for module in model.train().modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d)):
            module.eval()
    return model


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Arrays of the same names, equal in every element."""
    assert set(found) == set(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
