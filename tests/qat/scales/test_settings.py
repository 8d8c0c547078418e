"""Settings by rules: which layer gets what, errors that name the rule, and that torch stays the emulator."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from emulator.arithmetic import ROUNDINGS
from qat import LayerSettings, Settings
from qat.scales.observers import OBSERVERS
from qat.scales.quantizers import ActivationQuantizer
from qat.scales.scale import SCALES
from qat.scales.weight_quantizers import WeightQuantizer
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, exported, images, randomized

MIXED_BITS = {
    "input": {"activation_bits": 6},
    "features.*": {"weight_bits": 3, "activation_bits": 5},
    "features.4": {"weight_bits": 2},
    "mix": {"activation_bits": 2},
    "hidden": {"weight_bits": 4, "activation_bits": 7},
}
WEIGHT_BITS = {"features.0": 3, "features.4": 2, "mix": 8, "hidden": 4, "head": 8}
ACTIVATION_BITS = {"features.0": 5, "features.4": 5, "features.7": 5, "mix": 2, "hidden": 7, "head": 8}
GRID = list(itertools.product(ROUNDINGS, SCALES, (False, True)))


@pytest.mark.parametrize(("rounding", "scale", "symmetric"), GRID)
def test_codes_are_the_emulators(rounding: str, scale: str, symmetric: bool, tmp_path: Path) -> None:
    seed = GRID.index((rounding, scale, symmetric))
    arithmetic = Arithmetic(
        rounding=rounding, accumulator_bits=(32, 14, 20)[seed % 3], overflow=("saturate", "wrap")[seed % 2],
        multiplier_bits=(24, 12, 5)[seed % 3],
    )  # fmt: skip
    common = {
        "scale": scale, "symmetric": symmetric, "per_channel": seed % 4 < 2,
        "weight_observer": ("min_max", "mse")[seed % 2], "observer": list(OBSERVERS)[seed % len(OBSERVERS)],
    }  # fmt: skip
    torch.manual_seed(seed)
    prepared = qat.prepare(randomized(Mixed(), seed), images(8, seed), arithmetic, settings={"*": common, **MIXED_BITS})
    optimizer = torch.optim.SGD(prepared.parameters(), lr=1e-3)
    prepared.train()(images(8, seed + 1)).square().mean().backward()
    optimizer.step()
    assert_narrow(prepared, assert_equal_codes(prepared, images(5, 99), tmp_path))
    expected = prepared.eval()(images(5, 99))
    prepared.train().drop.eval()
    assert torch.equal(prepared(images(5, 99)), expected)


def assert_narrow(prepared: qat.PreparedModel, codes: dict[str, np.ndarray]) -> None:
    for name, bits in ACTIVATION_BITS.items():
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        assert low <= codes[name].min() <= codes[name].max() <= high, name
    for name, bits in WEIGHT_BITS.items():
        layer = prepared.quantizers.layers[name.replace(".", "/")]
        weight = layer.weight(layer.folded(prepared)[0])[0]
        assert weight.abs().max() <= 2 ** (bits - 1) - 1, name
    values = [t for n, t in prepared.quantizers.named_buffers() if n.endswith("scale.value")]
    if prepared.quantizers.settings.of("head").scale == "power_of_two":
        assert all((torch.frexp(value)[0] == 0.5).all() for value in values)
    if prepared.quantizers.settings.of("head").symmetric:
        assert all(int(t) == 0 for n, t in prepared.quantizers.named_buffers() if n.endswith("zero_point"))


def test_power_of_two_scales_make_requantization_a_shift(tmp_path: Path) -> None:
    graph = exported(qat.prepare(randomized(Mixed()), images(8), settings={"*": {"scale": "power_of_two"}}), tmp_path)
    multipliers = [np.asarray(node.multiplier) for node in graph.nodes if node.name in WEIGHT_BITS]
    assert len(multipliers) == 5
    assert all((m & (m - 1) == 0).all() and (m > 0).all() for m in multipliers)


def test_the_file_says_the_narrow_codes(tmp_path: Path) -> None:
    prepared = qat.prepare(randomized(Mixed()), images(8), settings={**MIXED_BITS, "hidden": {"per_channel": False}})
    file = tmp_path / "model.onnx"
    qat.export_onnx(prepared, file)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}
    assert np.abs(constants["features.0/weight/codes"]).max() == 3
    assert np.abs(constants["features.4/weight/codes"]).max() == 1
    assert len(set(constants["hidden/weight/scale"].tolist())) == 1 < len(set(constants["mix/weight/scale"].tolist()))
    graph = exported(prepared, tmp_path)
    ranges = {node.name: (node.y_min, node.y_max) for node in graph.nodes}
    assert ranges["mix"] == (-2, 1) and ranges["head"] == (-128, 127) and ranges["features.7"] == (-16, 15)
    assert (graph.inputs[0].y_min, graph.inputs[0].y_max) == (-32, 31)
    assert set(qat.codes(prepared, images(64))["mix"].flatten().tolist()) == {-2, -1, 0, 1}


def test_later_rules_win() -> None:
    settings = Settings(
        {
            "*": {"weight_bits": 4, "observer": "mse"},
            "features.*": {"weight_bits": 6},
            "features.0": {"weight_bits": None},
        }
    )
    assert settings.of("head") == LayerSettings(weight_bits=4, observer="mse")
    assert settings.of("features.4") == LayerSettings(weight_bits=6, observer="mse")
    assert settings.of("features.0") == LayerSettings(observer="mse")
    assert Settings(settings.as_dict()) == settings
    assert Settings().of("head") == LayerSettings()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"convX*": {"weight_bits": 4}}, r"rule 'convX\*' must match a layer with scales: input, 0$"),
        ({"1": {"weight_bits": 4}}, "rule '1' must match a layer with scales: input, 0$"),
        ({"*": {"weight_bits": 9}}, r"rule '\*': weight_bits must be an integer from 2 to 8, not 9"),
        ({"*": {"activation_bits": 1}}, r"rule '\*': activation_bits must be an integer from 2 to 8, not 1"),
        ({"*": {"weight_bits": 6}}, r"rule '\*': weight_bits must be at most the arithmetic's 5, not 6"),
        ({"*": {"activation_bits": 8}}, r"rule '\*': activation_bits must be at most the arithmetic's 7, not 8"),
        ({"0": {"bits": 4}}, "rule '0': its fields must be among weight_bits, .*, scale, not 'bits'"),
        ({"0": {"observer": "median"}}, "rule '0': observer must be one of min_max, .*, entropy, not 'median'"),
        ({"0": {"weight_observer": "entropy"}}, "rule '0': weight_observer must be one of min_max, mse, not 'entropy'"),
        ({"0": {"scale": "pow2"}}, "rule '0': scale must be one of free, power_of_two, .*, not 'pow2'"),
        ({"0": {"percentile": 101}}, "rule '0': percentile must be from 50 to 100, not 101"),
        ({"0": {"percentile": math.nan}}, "rule '0': percentile must be from 50 to 100, not nan"),
        ({"0": {"percentile": "99"}}, "rule '0': percentile must be a number, not '99'"),
        ({"0": {"symmetric": 1}}, "rule '0': symmetric must be True or False, not 1"),
        ({"0": 4}, "rule '0' must map a pattern of layer names to fields and values"),
        ([("0", {})], "settings must map patterns of layer names to fields and values, not"),
    ],
)
def test_bad_rules(rules: object, message: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=message):
        qat.prepare(model, images(2), Arithmetic(weight_bits=5, activation_bits=7), settings=rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(("symmetric", "most"), [(True, 7), (False, 15)])
def test_gradient_scale_of_step_sizes(symmetric: bool, most: int) -> None:
    settings = LayerSettings(scale="learned", activation_bits=4, symmetric=symmetric)
    quantizer = ActivationQuantizer(settings, Arithmetic())
    quantizer.observe(torch.tensor([0.0, float(most)]))
    quantizer.settle()
    # 2 images of 6 features; codes 0 … most, scale 1.
    x = torch.tensor([0.4, 1.3, 2.5, -1.0, 40.0, 3.0]).repeat(2, 1)
    quantizer(x).real.sum().backward()
    inside = sum(round(v) - v for v in (0.4, 1.3, 2.5, 3.0)) + (-1 - -1.0 if symmetric else 0)
    # LSQ, equation 3: code − value inside, the bound outside; the factor does not know the batch.
    expected = 2 * (inside + most) / math.sqrt(6 * most)
    assert quantizer.scale.step.grad is not None
    # The codes below 0 are 8 with a zero point of 0: the larger side counts.
    if symmetric:
        expected *= math.sqrt(7 / 8)
    assert quantizer.scale.step.grad.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("per_channel", [True, False])
def test_gradient_scale_of_weights(per_channel: bool) -> None:
    quantizer = WeightQuantizer(2, LayerSettings(scale="learned", weight_bits=3, per_channel=per_channel), Arithmetic())
    quantizer.scale.set(torch.ones_like(quantizer.scale.value))
    weight = torch.tensor([[0.4, 1.3, -2.6, 9.0], [-0.2, 0.0, -7.0, 1.0]])
    codes, scale = quantizer(weight)
    assert scale.shape == (2,)
    (codes * scale.view(-1, 1)).sum().backward()
    rows = [-0.4 - 0.3 - 0.4 + 3, 0.2 + 0.0 - 3.0 + 0.0]
    expected = [r / math.sqrt(4 * 3) for r in rows] if per_channel else sum(rows) / math.sqrt(8 * 3)
    assert quantizer.scale.step.grad.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weight_scales_of_least_squared_error(bits: int, scale: str, per_channel: bool) -> None:
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(bits)) ** 3
    weight[3] = 0
    settings = LayerSettings(weight_bits=bits, weight_observer="mse", scale=scale, per_channel=per_channel)
    quantizer = WeightQuantizer(5, settings, Arithmetic())
    quantizer.settle(weight)
    limit = 2 ** (bits - 1) - 1
    rows = [weight[i] for i in (0, 1, 2, 4)] if per_channel else [weight]
    found = quantizer.scale.value[[0, 1, 2, 4]] if per_channel else quantizer.scale.value.view(1)

    def error(row: Tensor, step: float) -> float:
        return sum((min(max(round(v / step), -limit), limit) * step - v) ** 2 for v in row.flatten().tolist())

    for row, value in zip(rows, found.tolist(), strict=True):
        steps = [float(np.float32(float(row.abs().max()) / limit * i / 80)) for i in range(1, 81)]
        if scale == "power_of_two":
            steps = [2.0 ** math.ceil(math.log2(step)) for step in steps]
        assert error(row, value) <= min(error(row, step) for step in steps) * (1 + 1e-5)
        assert scale == "free" or value in steps


def test_observers_follow_in_training() -> None:
    for name in OBSERVERS:
        prepared = qat.prepare(
            randomized(Pooled()), images(8), settings={"*": {"scale": "free", "observer": name, "percentile": 90}}
        )
        before = float(prepared.quantizers.input.high)
        x = images(8, 1) * 3
        prepared.train()(x)
        observer = prepared.quantizers.input.new_observer()
        observer.observe(x)
        assert float(prepared.quantizers.input.high) == pytest.approx(
            0.9 * before + 0.1 * observer.range()[1], rel=1e-6
        )
