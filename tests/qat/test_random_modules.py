"""Random modules of all that `prepare` lowers: none is refused, and torch's codes are the emulator's in every layer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.qat.networks.random_modules import examined, random_module

SEEDS = range(151, 159)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_random_modules(tmp_path: Path) -> None:
    found = {seed: examined(seed, tmp_path) for seed in SEEDS}
    assert {seed: one.refusal for seed, one in found.items() if one.refusal} == {}
    assert {seed: one.mismatches for seed, one in found.items() if one.mismatches} == {}
    assert sum(one.codes for one in found.values()) > 10_000


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_all_kinds_are_met() -> None:
    met: Counter[str] = Counter()
    for seed in SEEDS:
        model, _ = random_module(seed)
        met.update({type(module).__name__ for module in model.modules()})
    wanted = {"ConvTranspose1d", "ConvTranspose2d", "Upsample", "PReLU", "GLU", "WithParameter", "InstanceNorm2d"}
    assert wanted <= set(met), wanted - set(met)
