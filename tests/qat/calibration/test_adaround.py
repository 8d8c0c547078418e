"""AdaRound: learned roundings of weights."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import qat
from tests.qat.calibration.distance import distance
from tests.qat.networks import Mixed, assert_equal_codes, exported, images, randomized


def test_adaround_by_brute_force() -> None:
    # 8 weights: all 256 roundings can be tried.
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(8, 1))
    x = torch.randn(256, 3) @ torch.randn(3, 8)  # strongly correlated inputs, where nearest is far from best
    prepared = qat.prepare(model, x, settings={"*": {"weight_bits": 3}})
    layer = prepared.quantizers.layers["0"]
    scale = layer.weight.scale.value
    real, target = prepared.quantizers.input(x).real.detach(), model(x).detach()
    down = torch.floor(model[0].weight.detach() / scale)

    def error(codes: Tensor) -> float:
        return float((real @ (codes * scale).T + model[0].bias.detach() - target).square().mean())

    choices = [(down + torch.tensor([ups])).clamp(-3, 3) for ups in itertools.product((0.0, 1.0), repeat=8)]
    errors = sorted(error(codes) for codes in choices)
    nearest = error(layer.weight.nearest(model[0].weight.detach()))
    qat.calibrate(prepared, [x], adaround=qat.AdaRound(steps=400))
    codes = layer.weight(model[0].weight.detach())[0].detach()
    assert any(torch.equal(codes, choice) for choice in choices)
    assert error(codes) < nearest / 2 and error(codes) <= errors[8]


def test_adaround_is_exact_stored_and_repeatable(tmp_path: Path) -> None:
    model, x = randomized(Mixed(), 2), images(64)
    settings = {"*": {"weight_bits": 3}}
    options = qat.AdaRound(steps=150)
    prepared, other = (qat.prepare(model, x, settings=settings) for _ in range(2))
    before = distance(prepared, model, x)
    nearest = {n: c for n, c in weight_codes(prepared).items()}
    qat.calibrate(prepared, x.split(16), adaround=options)
    with torch.no_grad():  # whatever the caller's mode
        qat.calibrate(other, x.split(16), adaround=options)
    rounded = weight_codes(prepared)
    assert distance(prepared, model, x) < before
    for name, codes in rounded.items():
        assert torch.equal(weight_codes(other)[name], codes)
        change = (codes - nearest[name]).abs()
        assert change.max() <= 1 and codes.abs().max() <= 3
    assert sum((codes != nearest[name]).any() for name, codes in rounded.items()) >= 4
    # The forward, the file and a checkpoint have these codes.
    assert_equal_codes(prepared, x, tmp_path)
    graph = exported(prepared, tmp_path)
    (head,) = (node for node in graph.nodes if node.name == "head")
    np.testing.assert_array_equal(np.sort(head.weight, None), np.sort(rounded["head"].numpy(), None))
    torch.save(prepared.state_dict(), tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    loaded = qat.prepare(randomized(Mixed(), 5), images(4), settings=settings).eval()
    loaded.load_state_dict(state)
    assert torch.equal(loaded(x), prepared.eval()(x))
    # A checkpoint without learned roundings takes them away, as calibrating anew does.
    fresh = qat.prepare(model, x, settings=settings)
    loaded.load_state_dict(fresh.state_dict())
    qat.calibrate(prepared, x.split(16))
    for again in (loaded, prepared):
        assert all(torch.equal(codes, nearest[name]) for name, codes in weight_codes(again).items())


def weight_codes(prepared: qat.PreparedModel) -> dict[str, Tensor]:
    return {
        layer.name: layer.weight(layer.folded(prepared)[0])[0].detach()
        for layer in prepared.quantizers
        if hasattr(layer, "weight")
    }


def test_adaround_of_a_layer_of_sequences() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(24, 10)
    x = torch.randn(16, 4, 3) @ torch.randn(3, 24)  # errors of correlated inputs can cancel
    for data in (x, x.flatten(0, 1)):
        prepared = qat.prepare(nn.Sequential(layer), data, settings={"*": {"weight_bits": 3}})
        before = distance(prepared, layer, data)
        qat.calibrate(prepared, [data], adaround=qat.AdaRound(steps=1000))
        assert distance(prepared, layer, data) < before / 3
