"""What a training step made ends with it, without the garbage collector, which would come late."""

from __future__ import annotations

import gc
import weakref

import pytest
from torch import nn

import qat
from qat.layers.layer import Step
from qat.scales.scale import SCALES
from tests.qat.networks import images


@pytest.mark.parametrize("scale", SCALES)
def test_a_step_leaves_nothing_behind(scale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    prepared = qat.prepare(model, images(4), settings={"*": {"scale": scale}}).train()
    steps: list[weakref.ref[Step]] = []

    def made(owner: nn.Module) -> Step:
        step = Step(owner)
        steps.append(weakref.ref(step))
        return step

    monkeypatch.setattr("qat.model.Step", made)
    gc.disable()
    try:
        prepared(images(4, 1)).sum().backward()
        assert [step() for step in steps] == [None]
    finally:
        gc.enable()
