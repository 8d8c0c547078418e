"""The forward value of a prepared model: the emulator's codes in every layer, in train() as in eval(), any batch."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic, dequantize, run_graph_counts
from emulator.arithmetic import OVERFLOWS, ROUNDINGS
from qat.scales.scale import SCALES
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, assert_one_value, exported, images, randomized

NARROW = Arithmetic(accumulator_bits=13, weight_bits=5)
GRID = list(itertools.product(ROUNDINGS, OVERFLOWS, (11, 16, 20, 32), (2, 8)))


@pytest.mark.parametrize(("rounding", "overflow", "width", "weight_bits"), GRID)
def test_codes_are_the_emulators(rounding: str, overflow: str, width: int, weight_bits: int, tmp_path: Path) -> None:
    seed = GRID.index((rounding, overflow, width, weight_bits))
    arithmetic = Arithmetic(
        rounding=rounding, overflow=overflow, accumulator_bits=width, weight_bits=weight_bits,
        activation_bits=(8, 5, 3)[seed % 3], multiplier_bits=(24, 6, 16, 1)[seed % 4],
    )  # fmt: skip
    model = randomized(Mixed() if seed % 2 else Pooled(), seed)
    x = images(9, seed)
    prepared = qat.prepare(model, x[:4], arithmetic)
    found = assert_equal_codes(prepared, x, tmp_path)
    prepared.eval()
    with torch.no_grad():
        result = prepared(x)
    head = prepared.quantizers.layers["head"].output
    np.testing.assert_array_equal(
        result.numpy(), dequantize(found["head"], head.scale.value.numpy(), int(head.zero_point))
    )


@pytest.mark.parametrize("width", [32, 40, 48])
def test_wide_accumulators(width: int, tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=width, multiplier_bits=63 - width if width > 32 else 31)
    prepared = qat.prepare(randomized(Mixed()), images(4), arithmetic)
    assert_equal_codes(prepared, images(9, 1), tmp_path)


@pytest.mark.parametrize("scale", SCALES)
def test_codes_stay_equal_while_training(scale: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    prepared = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": scale}})
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    before = {name: value.clone() for name, value in prepared.quantizers.state_dict().items()}
    prepared.train()
    for step in range(4):
        optimizer.zero_grad()
        prepared(images(16, step)).square().mean().backward()
        optimizer.step()
        assert_equal_codes(prepared, images(5, 100 + step), tmp_path)
    prepared.eval()(images(1))
    after = prepared.quantizers.state_dict()
    # A power of two changes only when the range has grown past it.
    changing = "layers.hidden.output." + ("high" if scale == "power_of_two" else "scale.value")
    assert not torch.equal(before[changing], after[changing])


@pytest.mark.parametrize("scale", SCALES)
def test_train_and_eval_have_one_value(scale: str) -> None:
    prepared = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": scale}})
    x = images(6, 3) * 2
    with torch.no_grad():
        expected = prepared.eval()(x)
        prepared.train()
        prepared.drop.eval()
        assert torch.equal(prepared(x), expected)
        prepared.eval()
        # What the first pass left behind: the next one sees the new statistics.
        assert not torch.equal(prepared(x), expected)


def test_the_batch_size_does_not_matter() -> None:
    prepared = qat.prepare(randomized(Mixed()), images(1), NARROW).eval()
    x = images(37)
    whole = qat.codes(prepared, x)
    single = [qat.codes(prepared, image) for image in x.split(1)]
    for name, codes in whole.items():
        np.testing.assert_array_equal(np.concatenate([s[name] for s in single]), codes)
    assert prepared(x[:0]).shape == (0, 5)


def test_dropout_sets_the_zero_point_and_scales() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.75))
    prepared = qat.prepare(model, images(4))
    x = images(16)
    expected = prepared.eval()(x).detach()
    torch.manual_seed(0)
    found = prepared.train()(x).detach()
    kept = found != 0
    assert 0.2 < (kept.sum() / (expected != 0).sum()) < 0.3
    assert torch.equal(found[kept], (expected * 4)[kept])


def test_a_clamp_behind_a_dropout_bounds_what_is_scaled() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.75), nn.ReLU6())
    nn.init.constant_(model[0].bias, 2.0)
    prepared = qat.prepare(model, images(4)).train()
    torch.manual_seed(0)
    found = prepared(images(16)).detach()
    step = float(prepared.quantizers.layers["0"].output.scale.value) * 4
    assert 6 - step / 2 <= float(found.max()) <= 6 + step / 2 and float(found.min()) == 0


def test_whole_channels_are_dropped() -> None:
    prepared = qat.prepare(nn.Sequential(nn.Conv2d(3, 16, 3), nn.Dropout2d(0.5)), images(4))
    torch.manual_seed(0)
    dropped = (prepared.train()(images(8)) == 0).flatten(2).float().mean(2)
    assert 0.3 < (dropped == 1).float().mean() < 0.7
    assert dropped[dropped < 1].max() < 0.5


def test_overflow_counts_are_the_emulators(tmp_path: Path) -> None:
    x = images(9)
    prepared = qat.prepare(randomized(Mixed()), x, NARROW)
    found = qat.overflow_counts(prepared, x)
    _, counts = run_graph_counts(exported(prepared, tmp_path), {"input": x.numpy()})
    assert set(found) == {"features.0", "features.4", "mix", "hidden", "head"}
    for name, overflows in found.items():
        np.testing.assert_array_equal(overflows, counts[name].overflows, err_msg=name)
    assert sum(overflows.sum() for overflows in found.values()) > 0


def test_a_checkpoint_restores_every_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = images(8)
    prepared = qat.prepare(randomized(Mixed()), x, NARROW)
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    prepared.train()(x).square().mean().backward()
    optimizer.step()
    expected = prepared.eval()(x)
    torch.save(prepared.state_dict(), tmp_path / "checkpoint.pt")
    other = qat.prepare(randomized(Mixed(), seed=5), images(4, 1), NARROW).eval()
    other.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert torch.equal(other(x), expected)


@pytest.mark.parametrize("scale", SCALES)
def test_autocast_changes_nothing(scale: str) -> None:
    states = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            prepared = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": scale}}).train()
            qat.fit_accumulator(prepared, [images(8)])
            result = prepared(images(16, 1) * 2)
        result.square().mean().backward()
        gradients = {f"gradient of {name}": p.grad for name, p in prepared.named_parameters() if p.grad is not None}
        states.append({**prepared.state_dict(), **gradients})
    plain, mixed = states
    start = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": scale}}).state_dict()
    assert not torch.equal(plain["norm.running_var"], start["norm.running_var"])
    assert plain.keys() == mixed.keys()
    for name, tensor in plain.items():
        assert torch.equal(mixed[name], tensor), name


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_observers_take_inputs_of_any_float_type(kind: torch.dtype) -> None:
    prepared = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": "free"}}).train()
    other = qat.prepare(randomized(Mixed()), images(8), NARROW, settings={"*": {"scale": "free"}}).train()
    x = images(8, 1).to(kind)
    for model, values in ((prepared, x), (other, x.float())):
        torch.manual_seed(0)
        model(values)
    for name, tensor in other.state_dict().items():
        assert torch.equal(prepared.state_dict()[name], tensor), name


@pytest.mark.parametrize("model", [nn.Conv2d(3, 4, 3), nn.AvgPool2d(2)])
def test_an_output_scale_is_raised_to_what_the_multiplier_reaches(model: nn.Module, tmp_path: Path) -> None:
    prepared = qat.prepare(nn.Sequential(model), images(2), Arithmetic(multiplier_bits=1))
    prepared.quantizers.layers["0"].output.scale.set(torch.tensor(1e-9))
    (node,) = exported(prepared, tmp_path).nodes
    doublings = math.log2(node.scale / np.float32(1e-9))
    assert doublings == round(doublings) > 0
    # Half of it would be too little: the largest multiplier is the largest that one bit gives, 1 or 2 halves.
    assert (node.multiplier / 2.0**node.shift).max() in (1, 0.5)
    assert_equal_codes(prepared, images(2), tmp_path)
    assert_one_value(prepared, images(4))

    prepared.quantizers.layers["0"].output.scale.value.zero_()
    with pytest.raises(ValueError, match=r"^layer '0': (?!.*multiplier_bits)"):
        prepared(images(2))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 3, 7, 6), np.float32), "x must be a float tensor, not ndarray"),
        (torch.zeros(1, 3, 7, 6, dtype=torch.int64), r"x must be a float tensor, not torch\.int64"),
        (torch.zeros(1, 3, 7, 5), r"x must have shape \(batch, 3, 7, 6\), not \(1, 3, 7, 5\)"),
        (torch.full((1, 3, 7, 6), torch.nan), "x must not contain NaN"),
        (torch.zeros(3, 7, 6), r"x must have shape \(batch, 3, 7, 6\), not \(3, 7, 6\)"),
    ],
)
def test_bad_input(x: torch.Tensor, message: str) -> None:
    prepared = qat.prepare(nn.Sequential(nn.Conv2d(3, 4, 3)), images(2))
    with pytest.raises((TypeError, ValueError), match=message):
        qat.codes(prepared, x)
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Linear"):
        qat.codes(nn.Linear(3, 4), images(1))


@pytest.mark.parametrize("kind", ["half", "double", "bfloat16"])
def test_it_stays_in_float32(kind: str) -> None:
    x = images(2)
    prepared = qat.prepare(randomized(Mixed()), x).eval()
    expected = prepared(x)
    with pytest.raises(TypeError, match=r"a prepared model must stay in float32, not become torch\."):
        getattr(prepared, kind)()
    assert torch.equal(prepared.to("cpu").float()(x), expected)


@pytest.mark.parametrize("scale", SCALES)
def test_training_survives_an_empty_batch_and_infinite_inputs(scale: str, tmp_path: Path) -> None:
    prepared = qat.prepare(randomized(Mixed()), images(4), NARROW, settings={"*": {"scale": scale}}).train()
    before = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    assert prepared(images(0)).shape == (0, 5)
    assert all(torch.equal(before[name], tensor) for name, tensor in prepared.state_dict().items())
    x = images(4)
    x[0, 0, 0, :2] = torch.tensor([torch.inf, -torch.inf])
    assert prepared(x).isfinite().all()
    assert all(tensor.isfinite().all() for tensor in prepared.state_dict().values())
    assert_equal_codes(prepared, x, tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"activation_bits": 4}, r"0\.output\.zero_point must be from -8 to 7, not -128"),
        ({"symmetric": True}, r"0\.output\.zero_point must be from 0 to 0, not -128"),
    ],
)
def test_a_state_of_other_codes_is_refused(values: dict[str, object], message: str, tmp_path: Path) -> None:
    network, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), images(4)
    source, target = qat.prepare(network, x), qat.prepare(network, x, settings={"*": values})
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(RuntimeError, match=message):
        target.load_state_dict(source.state_dict())
    target.load_state_dict(before)
    assert_equal_codes(target, x, tmp_path)
