"""The search for activation bits: a second budget of its own, greedy by loss per byte, and the sizes that it counts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import assert_equal_codes, images, randomized


class Branches(nn.Module):
    """A tensor with two readers, and a pool that hands codes on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3)
        self.second = nn.Conv2d(5, 5, 1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(x), 2)
        x = F.relu(self.second(x)) + x
        return self.head(x.mean((2, 3)))


# Codes of one sample 3 × 7 × 7, in the order of the layers: input, first, second, sum, mean, head.
COUNTS = [3 * 7 * 7, 5 * 5 * 5, 5 * 2 * 2, 5 * 2 * 2, 5, 3]


def pair(**options: object) -> qat.PreparedModel:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return qat.prepare(model, images(2, shape=(8,)), **options)  # type: ignore[arg-type]


def widths(prepared: qat.PreparedModel) -> list[int]:
    return [quantizer.bits for quantizer in prepared.quantizers.activations().values()]


def packed(bits: list[int]) -> int:
    return sum(math.ceil(width * count / 8) for width, count in zip(bits, COUNTS, strict=True))


def test_bytes_of_one_sample() -> None:
    x = images(4, shape=(3, 7, 7))
    prepared = qat.prepare(Branches(), x)
    assert qat.activation_bytes(prepared, x) == qat.activation_bytes(prepared, x[:1]) == sum(COUNTS)
    rules = {"*": {"activation_bits": 3}, "input": {"activation_bits": 7}, "head": {"activation_bits": 2}}
    narrow = qat.prepare(Branches(), x, settings=rules)
    assert qat.activation_bytes(narrow, x) == packed([7, 3, 3, 3, 3, 2])
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Branches"):
        qat.activation_bytes(Branches(), x)  # type: ignore[arg-type]


def test_greedy_by_loss_per_byte() -> None:
    prepared = pair()
    # Invented losses: 8, 16 and 4 codes; 128 and 64 weights.
    losses = {
        "input": {8: 0.0, 4: 0.2, 2: 1.2},
        "0": {8: 0.0, 4: 0.24, 2: 0.9},
        "2": {8: 0.0, 4: 0.5, 2: 0.6},
    }
    of_weights = {"0": {8: 0.0, 4: 0.4, 2: 3.0}, "2": {8: 0.0, 4: 0.1, 2: 1.0}}

    def evaluate(candidate: qat.PreparedModel) -> float:
        layers = candidate.quantizers
        loss = sum(losses[name][quantizer.bits] for name, quantizer in layers.activations().items())
        return loss + sum(table[layers.layers[name].weight.bits] for name, table in of_weights.items())

    def found(budget: int, weights: int = 192) -> list[tuple[int | None, int | None]]:
        settings = qat.search_bits(
            prepared, [images(4, shape=(8,))], evaluate, weights, activation_bytes=budget, bits=(2, 4, 8)
        )
        return [(settings.of(name).activation_bits, settings.of(name).weight_bits) for name in losses]

    def activations(budget: int) -> list[int | None]:
        return [bits for bits, _ in found(budget)]

    # Per byte: "0" to 4 bits 0.24/8, input to 4 bits 0.2/4, "0" to 2 bits 0.66/4, "2" to 2 bits at once 0.6/3 (to 4
    # bits 0.5/2), input to 2 bits 1.0/2.
    assert activations(28) == [None, None, None]
    assert activations(27) == activations(20) == [None, 4, None]
    assert activations(19) == activations(16) == [4, 4, None]
    assert activations(15) == activations(12) == [4, 2, None]
    assert activations(11) == activations(9) == [4, 2, 2]
    assert activations(8) == activations(7) == [2, 2, 2]
    # The weights' budget has its own choice.
    assert found(16, 160) == [(4, None), (4, None), (None, 4)]
    with pytest.raises(ValueError, match="activation_bytes must be at least 7, what the smallest widths take, not 6"):
        found(6)


@pytest.mark.parametrize("share", [0.8, 0.4])
def test_it_fits_both_budgets_and_gives_the_emulators_codes(share: float, tmp_path: Path) -> None:
    x = images(8, shape=(3, 7, 7))
    model = randomized(Branches())
    prepared = qat.prepare(model, x)
    budgets = int(share * qat.weight_bytes(prepared)), int(share * sum(COUNTS))
    settings = qat.search_bits(prepared, [x], None, budgets[0], activation_bytes=budgets[1], bits=(2, 3, 5, 8))
    other = qat.prepare(model, x, settings=settings)
    assert qat.weight_bytes(other) <= budgets[0]
    assert packed(widths(other)) == qat.activation_bytes(other, x) <= budgets[1]
    assert len(set(widths(other))) > 1
    assert_equal_codes(other, x, tmp_path)


def test_each_width_is_calibrated_and_the_model_left_as_it_was() -> None:
    x = images(8, shape=(8,))
    rules = {"0": {"observer": "mse"}, "2": {"observer": "percentile", "scale": "power_of_two"}}
    prepared, expected = pair(settings=rules).train(), pair(settings=rules)
    qat.calibrate(expected, [x])
    seen: dict[tuple[str, int], tuple[float, int]] = {}

    def evaluate(candidate: qat.PreparedModel) -> float:
        assert not candidate.training
        narrow = {name: q for name, q in candidate.quantizers.activations().items() if q.bits < 8}
        assert len(narrow) <= 1
        seen.update({(name, q.bits): (q.scale().item(), int(q.zero_point)) for name, q in narrow.items()})
        return 0.0

    qat.search_bits(prepared, [x], evaluate, 192, activation_bytes=20, bits=(2, 3, 5))
    assert sorted(seen) == [(name, bits) for name in ("0", "2", "input") for bits in (2, 3, 5)]
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    for (name, bits), found in seen.items():
        if name == "input":
            scale = np.float32((high - low) / (2**bits - 1))
            assert found == (scale, -(2 ** (bits - 1)) + round(-low / float(scale)))
        else:
            alone = pair(settings={**rules, name: {**rules[name], "activation_bits": bits}})
            qat.calibrate(alone, [x])
            quantizer = alone.quantizers.activations()[name]
            assert found == (quantizer.scale().item(), int(quantizer.zero_point))
    assert prepared.training and widths(prepared) == [8, 8, 8]
    state = prepared.state_dict()
    assert state.keys() == expected.state_dict().keys()
    for key, tensor in expected.state_dict().items():
        assert torch.equal(state[key], tensor), key


def test_rules_and_the_arithmetic_bound_the_search() -> None:
    x = [images(4, shape=(8,))]
    prepared = pair(arithmetic=Arithmetic(activation_bits=6), settings={"0": {"activation_bits": 4, "symmetric": True}})
    tried: set[tuple[int, ...]] = set()

    def evaluate(candidate: qat.PreparedModel) -> float:
        tried.add(tuple(widths(candidate)))
        return 0.0

    settings = qat.search_bits(prepared, x, evaluate, 192, activation_bytes=7)
    assert tried == {
        (6, 4, 6), *((bits, 4, 6) for bits in (2, 3, 4, 5)), *((6, bits, 6) for bits in (2, 3)),
        *((6, 4, bits) for bits in (2, 3, 4, 5)),
    }  # fmt: skip
    assert [settings.of(name).activation_bits for name in ("input", "0", "2")] == [2, 2, 2]
    assert settings.of("0").symmetric and not settings.of("2").symmetric


def test_bad_arguments() -> None:
    prepared, x = pair(), [images(4, shape=(8,))]
    state = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    with pytest.raises(ValueError, match="activation_bytes must be an integer from 1 to"):
        qat.search_bits(prepared, x, None, 192, activation_bytes=0)
    with pytest.raises(ValueError, match="activation_bytes must be at least 7"):
        qat.search_bits(prepared, x, None, 192, activation_bytes=6)
    assert all(torch.equal(tensor, state[name]) for name, tensor in prepared.state_dict().items())

    def evaluate(candidate: qat.PreparedModel) -> float:
        return math.nan if candidate.quantizers.input.bits == 4 else 0.0

    with pytest.raises(ValueError, match="not nan with activation_bits 4 in layer 'input'"):
        qat.search_bits(prepared, x, evaluate, 192, activation_bytes=20)
    assert widths(prepared) == [8, 8, 8]
