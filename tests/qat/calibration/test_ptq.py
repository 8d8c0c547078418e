"""Options of calibration: cross-layer equalization, bias correction and AdaRound."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic, run_graph
from qat.calibration.equalize import equalize
from tests.qat.calibration.distance import distance
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, exported, images, randomized


class Chain(nn.Module):
    """Depthwise, grouped, with and without BatchNorm, pools, a Flatten; all channels of very different size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 6, 2, groups=2)
        self.hidden = nn.Linear(6 * 3 * 2, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.depthwise(F.relu(self.first(x)))))
        x = F.max_pool2d(F.relu(self.grouped(x)), 2)
        return self.head(F.dropout(self.hidden(x.flatten(1)), 0.5, self.training))


def uneven(seed: int = 0) -> nn.Module:
    model = randomized(Chain(), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in (model.first, model.grouped, model.hidden):
            factor = torch.exp(2 * torch.randn(len(module.weight), generator=generator))
            module.weight.mul_(factor.view(-1, *[1] * (module.weight.ndim - 1)))
            module.bias.mul_(factor)
    return model


PER_TENSOR = {"*": {"per_channel": False, "weight_bits": 6}}


def test_equalized_ranges() -> None:
    model = uneven()
    prepared = qat.prepare(model, images(16))
    assert equalize(prepared) == [
        ("first", "depthwise"), ("depthwise", "grouped"), ("grouped", "hidden"), ("hidden", "head"),
    ]  # fmt: skip
    layers = prepared.quantizers.layers
    weights = {
        name: layers[name].folded(prepared)[0].detach().abs() for name in layers if hasattr(layers[name], "weight")
    }
    incoming = {
        "first": weights["depthwise"].amax((1, 2, 3)),
        # Two groups: the outputs 0–2 read the channels 0–3, the others 4–7.
        "depthwise": torch.cat([weights["grouped"][:3].amax((0, 2, 3)), weights["grouped"][3:].amax((0, 2, 3))]),
        "grouped": torch.stack([weights["hidden"][:, 6 * c : 6 * c + 6].max() for c in range(6)]),
        "hidden": weights["head"].amax(0),
    }
    for name, expected in incoming.items():
        torch.testing.assert_close(weights[name].flatten(1).amax(1), expected, rtol=1e-2, atol=0)
    # The float network is still the same function, the user's model untouched.
    x = images(16, 1)
    real = dict(prepared.named_parameters())
    same = Chain().eval()
    same.load_state_dict({**model.state_dict(), **{n: p for n, p in real.items() if not n.startswith("quantizers")}})
    torch.testing.assert_close(same(x), model(x), rtol=1e-3, atol=1e-3)
    assert torch.equal(model.first.weight, uneven().first.weight) and not torch.equal(
        model.first.weight, real["first.weight"]
    )


def test_equalization_helps_weights_with_one_scale() -> None:
    model, x = uneven(), images(64)
    plain, better = (qat.prepare(model, x, settings=PER_TENSOR) for _ in range(2))
    qat.calibrate(better, [x], equalize=True)
    assert distance(better, model, x) < distance(plain, model, x) / 3


def test_what_is_not_a_pair() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 1) for _ in range(4))
            self.norm = nn.BatchNorm2d(3, affine=False)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu6(self.a(x))  # not homogeneous
            x = F.relu(self.norm(self.b(x)))  # nothing to scale
            x = F.relu(self.c(self.c(x)))  # shared
            return self.d(x)

    prepared = qat.prepare(Branches().eval(), images(4))
    before = {name: p.clone() for name, p in prepared.named_parameters()}
    assert equalize(prepared) == []
    assert all(torch.equal(before[name], p) for name, p in prepared.named_parameters())


def test_corrected_means(tmp_path: Path) -> None:
    model, batches = randomized(Mixed(), 3), [images(32, seed) for seed in range(2)]
    x = torch.cat(batches)
    arithmetic = Arithmetic(weight_bits=3, rounding="floor")
    prepared = qat.prepare(model, batches[0], arithmetic)
    qat.calibrate(prepared, batches)
    assert_means(prepared, model, x, tmp_path, corrected=False)
    qat.calibrate(prepared, [(batch, torch.zeros(32)) for batch in batches], bias_correction=True)
    assert_equal_codes(prepared, x, tmp_path)
    assert_means(prepared, model, x, tmp_path, corrected=True)
    # Calibrating anew forgets it.
    qat.calibrate(prepared, batches)
    assert all(not layer.correction.any() for layer in prepared.quantizers if hasattr(layer, "correction"))


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.Linear(6, 3), (5, 6), (0, 1)),
        (nn.Conv1d(4, 3, 3), (4, 9), (0, 2)),
        (nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1), (4, 5, 6), (0, 2, 3)),
        (nn.ConvTranspose1d(4, 3, 4, stride=3), (4, 6), (0, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_corrected_means_of_rows_sequences_and_phases(
    layer: nn.Module, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Weights of 2 bits move the means of the outputs; the correction brings them back to a fraction of a code."""
    torch.manual_seed(1)
    model, x = nn.Sequential(layer).eval(), images(200, 5, shape) + 0.7
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    prepared = qat.prepare(model, x, Arithmetic(weight_bits=2))
    with torch.no_grad():
        expected, errors = model(x).mean(axes), []
        for corrected in (False, True):
            qat.calibrate(prepared, [x], bias_correction=corrected)
            errors.append((prepared(x).mean(axes) - expected).abs().max())
    scale = prepared.quantizers.layers["0"].output.scale().item()
    assert errors[0] > scale and errors[1] < scale / 3


@torch.no_grad()
def assert_means(prepared: qat.PreparedModel, model: nn.Module, x: Tensor, folder: Path, corrected: bool) -> None:
    """The means of two layers' integer sums in real units, from the emulator's codes of the layer before."""
    codes = run_graph(exported(prepared, folder), {"input": x.numpy()}, every=True)
    codes = {**codes, "input": prepared.quantizers.input(x).codes.numpy()}
    layers = prepared.quantizers.layers
    for name, reads, source in (
        ("features/0", prepared.quantizers.input, "input"),
        ("head", layers["hidden"].output, "hidden"),
    ):
        weight, scale = layers[name].weight(layers[name].folded(prepared)[0])
        unit = reads.scale.value.double() * scale.double()
        bias = ((layers[name].folded(prepared)[1] + layers[name].correction) / unit).round()
        centered = torch.from_numpy(codes[source]).double() - int(reads.zero_point)
        if name == "head":
            found, expected = (centered @ weight.double().T + bias).mean(0) * unit, model(x).mean(0)
        else:
            sums = F.conv2d(centered, weight.double(), bias, padding=1)
            found, expected = sums.mean((0, 2, 3)) * unit, model.features[:2](x).mean((0, 2, 3))
        # What is left is the rounding of the bias.
        close = (found - expected).abs() <= unit * 0.501
        assert close.all() if corrected else not close.all(), name


def test_the_cost_grows_with_the_layers_and_not_faster() -> None:
    prepared, calls = qat.prepare(randomized(Mixed()), images(4)), Counter[str]()
    for layer in prepared.quantizers:
        layer.register_forward_hook(lambda layer, *_: calls.update([layer.name]))
    qat.calibrate(prepared, images(8).split(4))
    once = dict(calls)
    calls.clear()
    qat.calibrate(prepared, images(8).split(4), bias_correction=True, adaround=qat.AdaRound(steps=1))
    assert len(calls) == 9 and calls == {name: 3 * count for name, count in once.items()}


def test_bias_correction_helps() -> None:
    model, x = randomized(Mixed(), 1), images(128)
    plain, better = (qat.prepare(model, x, Arithmetic(weight_bits=3, rounding="floor")) for _ in range(2))
    qat.calibrate(better, x.split(32), bias_correction=True)
    assert distance(better, model, images(128, 1)) < distance(plain, model, images(128, 1))


def test_all_options_together_and_training_behind_them(tmp_path: Path) -> None:
    model, x = uneven(2), images(64)
    plain, best = (qat.prepare(model, x, settings={"*": {"weight_bits": 4, "per_channel": False}}) for _ in range(2))
    qat.calibrate(best, x.split(32), equalize=True, adaround=qat.AdaRound(steps=100), bias_correction=True)
    assert distance(best, model, images(64, 1)) < distance(plain, model, images(64, 1)) / 3
    assert_equal_codes(best, x, tmp_path)
    optimizer = torch.optim.Adam(best.parameters(), lr=1e-3)
    torch.manual_seed(0)
    for step in range(2):
        optimizer.zero_grad()
        best.train()(images(8, step)).square().mean().backward()
        optimizer.step()
    assert_equal_codes(best, x, tmp_path)


def test_bad_options() -> None:
    prepared = qat.prepare(randomized(Pooled()), images(2))
    with pytest.raises(TypeError, match="adaround must be an AdaRound, True or False, not 5"):
        qat.calibrate(prepared, [images(2)], adaround=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batches must hold at least one sample, not none"):
        qat.calibrate(prepared, [], bias_correction=True)
    for field, value in (("steps", 0), ("samples", 1.5), ("seed", -1)):
        with pytest.raises(ValueError, match=f"{field} must be an integer from"):
            qat.AdaRound(**{field: value})
    for field in ("learning_rate", "regularization"):
        with pytest.raises(ValueError, match=f"{field} must be a positive number, not -1"):
            qat.AdaRound(**{field: -1})
