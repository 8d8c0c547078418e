"""Transposed convolutions and upsampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Convolution, Machine, quantize, run_graph_counts
from qat.layers.transposed import phases
from tests.qat.networks import assert_equal_codes, exported, images
from tests.qat.networks.applied import MAP, NARROW, SEQUENCE, Applied, check_applied

# kernel, stride, padding, output padding, dilation, groups
TRANSPOSED = [
    ((3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1),
    ((4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 2),
    ((3, 2), (1, 1), (2, 0), (0, 0), (2, 1), 1),
    ((2, 3), (3, 2), (0, 1), (2, 0), (1, 2), 4),
    ((1, 1), (2, 2), (0, 0), (1, 0), (1, 1), 1),
    ((5, 3), (2, 1), (4, 2), (1, 0), (1, 1), 2),
    ((3, 3), (4, 3), (3, 0), (1, 2), (3, 2), 1),
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_transposed_convolutions(case: tuple, tmp_path: Path) -> None:
    torch.manual_seed(0)
    kernel, stride, padding, output, dilation, groups = case
    bias, norm = groups > 1, nn.BatchNorm2d(8)
    norm.running_mean.uniform_(-0.5, 0.5)
    norm.running_var.uniform_(0.5, 2)
    layer = nn.ConvTranspose2d(4, 8, kernel, stride, padding, output, groups, bias, dilation)
    prepared = check_applied(nn.Sequential(layer, norm, nn.ReLU()), MAP, tmp_path)
    assert [made.name for made in prepared.quantizers] == ["0"]
    fields = (field[0] for field in (kernel, stride, padding, output))
    line = nn.ConvTranspose1d(4, 8, *fields, groups, bias, dilation[0])
    check_applied(nn.Sequential(line), SEQUENCE, tmp_path)


def test_the_bits_are_those_of_the_zero_stuffed_map(tmp_path: Path) -> None:
    """The order of the sum's steps decides what saturates, and zeros change nothing."""
    torch.manual_seed(0)
    layer, x = nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), images(6, shape=MAP)
    prepared = qat.prepare(layer.eval(), x, Arithmetic(accumulator_bits=11))
    graph = exported(prepared, tmp_path)
    codes, counts = run_graph_counts(graph, {"input": x.numpy()})
    (node,) = (node for node in graph.nodes if isinstance(node, Convolution))
    (made,) = prepared.quantizers
    assert (
        sum(int(c.overflows.sum()) for c in counts.values())
        == int(qat.overflow_counts(prepared, x)[made.name].sum())
        > 50
    )
    weight, bias, _ = made.integers(prepared.quantizers.inputs["input"](x), qat.layers.layer.Step(prepared))
    source = graph.inputs[0]
    stuffed = np.zeros((6, 4, 7 * 2 + 2, 6 * 2 + 2), np.int64)  # one row and column of zeros in front, two behind
    inputs = quantize(x.numpy(), source.scale, source.zero_point, -128, 127)
    stuffed[:, :, 1:15:2, 1:13:2] = inputs.astype(np.int64) - source.zero_point
    flipped = weight.detach().numpy().astype(np.int64)[:, :, ::-1, ::-1]
    for sample, channel, row, column in np.random.default_rng(0).integers((6, 3, 14, 12), size=(200, 4)):
        acc = int(bias[channel])
        for i in range(3):
            for j in range(3):
                for k in range(4):
                    acc += int(stuffed[sample, k, row + i, column + j]) * int(flipped[channel, k, i, j])
                    acc = max(min(acc, 1023), -1024)
        multiplier, shift = int(node.multiplier[4 * channel]), int(node.shift[4 * channel])
        exact = acc * multiplier / (1 << shift)  # a float64 holds it: 11 bits times 24
        expected = min(max(round(exact) + node.zero_point, -128), 127)
        assert codes[made.name][sample, channel, row, column] == expected


def test_the_accelerator_runs_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.ConvTranspose2d(3, 4, (3, 2), (2, 1), (1, 0)), nn.PReLU(4), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.ConvTranspose2d(4, 2, 2, 2), nn.Upsample(scale_factor=2),
    )  # fmt: skip
    x = images(2, shape=(3, 4, 3))
    prepared = qat.prepare(model.eval(), x, NARROW)
    graph, config = exported(prepared, tmp_path), AcceleratorConfig(arithmetic=NARROW)
    (codes,) = Machine(config).run(compile_graph(graph, config), {"input": x[:1].numpy()}).outputs.values()
    assert (codes == qat.codes(prepared, x[:1])["4_1"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_phases(seed: int) -> None:
    """Every position of the result reads the taps that the definition gives it."""
    rng = np.random.default_rng(seed)
    for _ in range(100):
        size, kernel, stride, dilation = (int(rng.integers(1, most)) for most in (7, 6, 5, 4))
        output_padding = int(rng.integers(max(stride, dilation)))
        padding = int(rng.integers(dilation * (kernel - 1) + 3))
        try:
            made = phases(size, kernel, stride, padding, output_padding, dilation)
        except ValueError:
            assert (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1 < 1
            continue
        for place in range(made.output):
            round_, phase = divmod(place, stride)
            found = {}
            for index, tap in enumerate(made.taps[phase]):
                source = round_ + index * made.dilation - made.before
                if tap < kernel and 0 <= source < size:
                    found[source] = int(tap)
            wanted = {}
            for source in range(size):
                tap, rest = divmod(place + padding - source * stride, dilation)
                if rest == 0 and 0 <= tap < kernel:
                    wanted[source] = tap
            assert found == wanted


UPSAMPLED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "nearest": (lambda x: F.interpolate(x, scale_factor=(2, 3)), MAP),
    "nearest to a size": (lambda x: F.interpolate(x, (10, 4)), MAP),
    "nearest exact": (lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"), SEQUENCE),
    "a module": (lambda x: nn.UpsamplingBilinear2d(scale_factor=2)(x), MAP),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), MAP),
    "bilinear by 2 and 3": (lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"), MAP),
    "bilinear by 4": (lambda x: F.interpolate(x, scale_factor=4, mode="bilinear"), MAP),
    "linear": (lambda x: F.interpolate(x, scale_factor=3, mode="linear"), SEQUENCE),
    "linear with its corners": (lambda x: F.interpolate(x, 27, mode="linear", align_corners=True), SEQUENCE),
    "linear by 1.5": (lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), MAP),
    "cubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), MAP),
}  # fmt: skip


@pytest.mark.parametrize("name", UPSAMPLED)
def test_upsampling(name: str, tmp_path: Path) -> None:
    function, shape = UPSAMPLED[name]
    check_applied(Applied(lambda m, x: function(x)), shape, tmp_path)


def test_linear_upsampling_is_one_rounding_of_exact_weights() -> None:
    x = images(3, shape=MAP)
    prepared = qat.prepare(Applied(lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear")), x)
    layer = list(prepared.quantizers)[-1]
    values = layer.weight(layer.floats(prepared)[0])[0][0, 0]
    assert (values == torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0])] * 2)).all()
    made = prepared.quantizers({"input": x}, qat.layers.layer.Step(prepared))
    exact = F.interpolate(made["input"].real, scale_factor=2, mode="bilinear")
    assert ((made[layer.name].real - exact).abs() <= 0.5001 * made[layer.name].scale).all()


def test_calibration_corrects_and_fits_them(tmp_path: Path) -> None:
    """Their channels, and those of rows of sequences, stand elsewhere in the product than in the result."""
    torch.manual_seed(0)
    x = images(16, shape=MAP)
    model = nn.Sequential(nn.ConvTranspose2d(4, 3, 3, 2, 1), nn.ReLU(), nn.Flatten(2), nn.Linear(143, 5), nn.ReLU())
    model.append(nn.Linear(5, 4))
    prepared = qat.prepare(model.eval(), x, Arithmetic(accumulator_bits=11, weight_bits=4))
    qat.calibrate(prepared, [x], bias_correction=True)
    means = [(prepared(x) - model(x)).mean((0, 1)).abs().max()]
    for layer in prepared.quantizers:
        if hasattr(layer, "correction"):
            assert layer.correction.abs().max() > 0
            layer.correction.zero_()
    means.append((prepared(x) - model(x)).mean((0, 1)).abs().max())
    assert means[0] < means[1]
    before = sum(int(counts.sum()) for counts in qat.overflow_counts(prepared, x).values())
    qat.fit_accumulator(prepared, [x])
    after = sum(int(counts.sum()) for counts in qat.overflow_counts(prepared, x).values())
    assert after < before
    assert_equal_codes(prepared, x, tmp_path)
