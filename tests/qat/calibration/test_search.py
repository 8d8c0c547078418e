"""The search for weight bits: within its budget, greedy by loss per byte, repeatable, and what it leaves behind."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic
from tests.qat.networks import Mixed, images, randomized


def size(prepared: qat.PreparedModel) -> dict[str, int]:
    return {
        name.replace("/", "."): prepared.get_parameter(layer.weight_name).numel()
        for name, layer in prepared.quantizers.layers.items()
        if hasattr(layer, "weight_name")
    }


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_it_fits_the_budget(share: float) -> None:
    x = images(8)
    prepared = qat.prepare(randomized(Mixed()), x)
    full = sum(size(prepared).values())
    assert qat.weight_bytes(prepared) == full
    budget = int(share * full)
    settings = qat.search_bits(prepared, [x], None, budget)
    assert qat.search_bits(prepared, [x], None, budget) == settings
    other = qat.prepare(randomized(Mixed()), x, settings=settings)
    bits = {name: settings.of(name).weight_bits or 8 for name in size(prepared)}
    packed = sum(math.ceil(bits[name] * count / 8) for name, count in size(prepared).items())
    assert packed == qat.weight_bytes(other) <= budget
    assert {layer.name: layer.weight.bits for layer in other.quantizers if hasattr(layer, "weight_name")} == bits
    assert {name: widths["weight_bits"] for name, widths in qat.layer_bits(other).items() if name in bits} == bits
    if share < 0.9:
        assert len(set(bits.values())) > 1


def test_greedy_by_loss_per_byte() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    prepared = qat.prepare(model, images(2, shape=(8,)))
    # Invented losses: 128 and 64 weights.
    losses = {"0": {8: 0.0, 4: 0.4, 2: 3.0}, "2": {8: 0.0, 4: 0.1, 2: 1.0}}

    def evaluate(candidate: qat.PreparedModel) -> float:
        assert not candidate.training
        return sum(table[candidate.quantizers.layers[name].weight.bits] for name, table in losses.items())

    def found(budget: int) -> tuple[int | None, int | None]:
        settings = qat.search_bits(prepared, [images(4, shape=(8,))], evaluate, budget, bits=(2, 4, 8))
        return settings.of("0").weight_bits, settings.of("2").weight_bits

    # Per byte: "2" to 4 bits 0.1/32, then "0" to 4 bits 0.4/64, then "2" to 2 bits 0.9/16, "0" to 2 bits 2.6/32.
    assert found(192) == (None, None)
    assert found(191) == found(160) == (None, 4)
    assert found(159) == found(96) == (4, 4)
    assert found(95) == found(80) == (4, 2)
    assert found(79) == found(48) == (2, 2)
    with pytest.raises(ValueError, match="budget_bytes must be at least 48, what the smallest widths take, not 47"):
        found(47)


def test_the_model_is_only_calibrated() -> None:
    x = images(8)
    prepared = qat.prepare(randomized(Mixed()), images(4, 5)).train()
    expected = qat.prepare(randomized(Mixed()), images(4, 5))
    qat.calibrate(expected, [x])
    qat.search_bits(prepared, [x], None, 700)
    assert prepared.training
    for name, tensor in expected.state_dict().items():
        assert torch.equal(prepared.state_dict()[name], tensor), name


def test_rules_stay_and_bound_the_search() -> None:
    x = images(8)
    rules = {"head": {"scale": "free", "symmetric": True}, "*": {"weight_bits": 5, "scale": "learned"}}
    prepared = qat.prepare(randomized(Mixed()), x, Arithmetic(weight_bits=6), settings=rules)
    settings = qat.search_bits(prepared, [x], None, 500)
    assert all((settings.of(name).weight_bits or 9) <= 5 for name in size(prepared))
    for name in (*size(prepared), "input"):
        before, after = prepared.quantizers.settings.of(name), settings.of(name)
        assert (after.scale, after.symmetric) == (before.scale, before.symmetric)
    smallest = qat.search_bits(prepared, [x], None, sum(math.ceil(n * 2 / 8) for n in size(prepared).values()))
    assert {smallest.of(name).weight_bits for name in size(prepared)} == {2}
    assert smallest.of("head").scale == "learned" and smallest.of("head").symmetric


def test_bad_arguments() -> None:
    prepared = qat.prepare(nn.Linear(8, 16), images(2, shape=(8,)))
    x = [images(4, shape=(8,))]
    with pytest.raises(ValueError, match="evaluate must give a finite number, not nan before the search"):
        qat.search_bits(prepared, x, lambda model: math.nan, 64)
    with pytest.raises(TypeError, match="evaluate must be a function of a model or None, not 5"):
        qat.search_bits(prepared, x, 5, 64)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bits must be an integer from 2 to 8, not 1"):
        qat.search_bits(prepared, x, None, 64, bits=(1, 8))
    with pytest.raises(ValueError, match="budget_bytes must be an integer from 1 to"):
        qat.search_bits(prepared, x, None, 0)
    with pytest.raises(ValueError, match="batches must hold at least one sample, not none"):
        qat.search_bits(prepared, [], None, 64)
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Linear"):
        qat.search_bits(nn.Linear(8, 16), x, None, 64)  # type: ignore[arg-type]
