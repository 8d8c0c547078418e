"""Steps of linear layers against Python's integers, and their gradients against autograd's of the real expression."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from emulator import Arithmetic, layer_scales, quantize_multiplier
from qat.integers.chain import Chain
from qat.integers.element_steps import Range
from qat.integers.matrix import matrix_kernels
from qat.integers.matrix.matrix_step import WeightCodes, matrix_product
from qat.integers.tensor import QuantizedTensor

LOW, HIGH = -100, 90
X_SCALE, Y_SCALE = 0.5, 64.0
W_SCALES = [0.5, 0.25, 0.75]


def operands(*shape: int) -> tuple[QuantizedTensor, Tensor, Tensor, Tensor]:
    """x, float weights whose codes stay within ±127 but for one, biases, and the scales of the weights."""
    generator = torch.Generator().manual_seed(sum(shape))
    centered = torch.randint(-128, 128, shape, generator=generator).float().requires_grad_()
    x = QuantizedTensor(
        centered=centered, scale=torch.tensor(X_SCALE, requires_grad=True), zero_point=0, y_min=-128, y_max=127
    )
    w_scale = torch.tensor(W_SCALES, requires_grad=True)
    weight = torch.randn(3, shape[-1], generator=generator) * 20
    weight[0, 0] = 1000
    return x, weight.requires_grad_(), torch.tensor([3.0, -40.3, 11.9], requires_grad=True), w_scale


def run(
    x: QuantizedTensor, weight: Tensor, bias: Tensor, w_scale: Tensor, y_scale: Tensor, arithmetic: Arithmetic
) -> tuple[Tensor, Tensor]:
    """The codes of the weights, and those of the layer."""
    chain, coded = Chain(), WeightCodes(127, True)
    codes = chain.add(coded, (weight, w_scale), ())
    ends = Range(LOW, HIGH, arithmetic)
    step = matrix_product(x, (codes, coded), bias, w_scale, torch.zeros(3), y_scale.item(), ends, (True, True))
    assert step is not None
    made = chain.add(step, (x.centered, codes, bias, w_scale), (x.scale, y_scale))
    return codes, chain.close([made])[0]


def expected(rows: list[list[int]], codes: Tensor, arithmetic: Arithmetic) -> list[list[int]]:
    """By Python's integers, each step of a sum saturated."""
    most = (1 << (arithmetic.accumulator_bits - 1)) - 1
    biases = [round(Fraction(b) / (Fraction(X_SCALE) * Fraction(w))) for b, w in zip(BIASES, W_SCALES, strict=True)]
    found = []
    for row in rows:
        found.append([])
        for weights, total, w_scale in zip(codes.long().tolist(), biases, W_SCALES, strict=True):
            for a, w in zip(row, weights, strict=True):
                total = min(max(total + a * w, -most - 1), most)
            real = total * Fraction(X_SCALE) * Fraction(w_scale) / Fraction(Y_SCALE)
            nearest = round(real) if arithmetic.rounding == "half_even" else real.__floor__()
            found[-1].append(min(max(nearest, LOW), HIGH))
    return found


BIASES = torch.tensor([3.0, -40.3, 11.9]).tolist()


@pytest.mark.parametrize("bits", [32, 16, 13])
@pytest.mark.parametrize("rounding", ["half_even", "floor"])
@pytest.mark.parametrize("shape", [(9, 37), (3, 5, 37)])
def test_codes(bits: int, rounding: str, shape: tuple[int, ...]) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, rounding=rounding)
    x, weight, bias, w_scale = operands(*shape)
    y_scale = torch.tensor(Y_SCALE)
    codes, result = run(x, weight, bias, w_scale, y_scale, arithmetic)
    assert codes.tolist() == (weight / w_scale[:, None]).round().clamp(-127, 127).tolist()
    rows = x.centered.detach().long().reshape(-1, 37).tolist()
    wanted = expected(rows, codes, arithmetic)
    assert result.shape == (*shape[:-1], 3)
    assert result.long().reshape(-1, 3).tolist() == wanted
    if bits < 32:  # the walk had something to do
        assert wanted != expected(rows, codes, Arithmetic(rounding=rounding))


def test_gradients() -> None:
    x, weight, bias, w_scale = operands(9, 37)
    y_scale = torch.tensor(256.0, requires_grad=True)  # nothing is clamped
    codes, result = run(x, weight, bias, w_scale, y_scale, Arithmetic())
    assert result.abs().max() < HIGH
    leaves = [x.centered, weight, bias, w_scale, x.scale, y_scale]
    outer = torch.randn(result.shape, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad(result, leaves, outer)
    shares = weight.double() / w_scale.double()[:, None]
    inside = shares.detach().round().abs() <= 127
    ideal = codes.double() + (shares - shares.detach()) * inside
    start = bias.double() / (x.scale * w_scale).double()
    start = start.detach().round() + (start - start.detach())
    sums = x.centered.double() @ ideal.T + start
    wanted = torch.autograd.grad(sums * (x.scale * w_scale / y_scale).double(), leaves, outer.double())
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_what_pushes_a_saturated_sum_out_has_no_gradient() -> None:
    arithmetic = Arithmetic(accumulator_bits=16)
    x = QuantizedTensor(
        centered=torch.tensor([[127.0] * 4]), scale=torch.tensor(1.0), zero_point=0, y_min=-128, y_max=127
    )
    w_scale, y_scale = torch.ones(3), torch.tensor(1024.0)
    for direction, reached in ((1.0, [True, False, True]), (-1.0, [False, True, True])):
        weight = torch.tensor([[127.0] * 4, [-127.0] * 4, [1.0] * 4], requires_grad=True)
        _, result = run(x, weight, torch.zeros(3), w_scale, y_scale, arithmetic)
        assert result.tolist() == [[32.0, -32.0, 0.0]]  # 32767 and −32768 of 1024
        (result * direction).sum().backward()
        assert [bool(row.any()) for row in weight.grad] == reached


def test_factors_are_the_emulators() -> None:
    """Multipliers of random scales, and bounds and biases; what has no plain multiplier is left to others."""
    generator, count = np.random.default_rng(1), 2000
    x_scale, y_scale = float(np.float32(0.0137)), float(np.float32(0.0371))
    w_scale = np.exp2(generator.uniform(-20, 4, count)).astype(np.float32)
    values = generator.normal(size=count).astype(np.float32)
    totals, magnitudes = generator.integers(-500, 500, count).astype(np.float64), np.full(count, 700.0)
    biases, ratio = np.empty(count, np.float32), np.empty(count)

    def factors(scales: np.ndarray, numbers: np.ndarray = values, y_scale: float = y_scale) -> tuple[float, float]:
        arrays = numbers, np.zeros(count, np.float32), scales, totals, magnitudes, -128.0, 127.0
        found: tuple[float, float] = matrix_kernels.factors(
            *arrays, x_scale, y_scale, 24, -32768.0, 32767.0, biases, ratio
        )
        return found

    worst, largest = factors(w_scale)
    multiplier, shift = quantize_multiplier(layer_scales(x_scale, w_scale, y_scale), Arithmetic())
    assert largest > 0
    np.testing.assert_array_equal(ratio, np.ldexp(multiplier.astype(np.float64), -shift))
    assert largest == multiplier.max()
    positive, negative = (magnitudes + totals) / 2, (magnitudes - totals) / 2
    above, below = 127 * positive + 128 * negative, 127 * negative + 128 * positive
    assert worst == np.maximum(above + np.maximum(biases, 0), below - np.minimum(biases, 0)).max()
    for scales, numbers, result_scale in (
        (np.full_like(w_scale, 1.0), values, 1e-10),  # beyond the multiplier's bits
        (np.full_like(w_scale, 1e-30), values, 1e10),  # a shift beyond 62
        (w_scale, np.where(np.arange(count) == 7, np.nan, values).astype(np.float32), y_scale),
    ):
        assert factors(scales, numbers, result_scale)[1] == -1


def test_what_float32_does_not_hold_is_left_to_others() -> None:
    x, _, bias, w_scale = operands(2, 2000)
    coded = WeightCodes(127, True)
    codes = torch.from_numpy(coded.forward(np.full((3, 2000), 90, np.float32), np.array(W_SCALES, np.float32)))
    ends = Range(LOW, HIGH, Arithmetic())
    arguments = x, (codes, coded), bias, w_scale, torch.zeros(3), Y_SCALE, ends, (True, True)
    assert coded.totals.tolist() == [2000 * 127, 2000 * 127, 2000 * 120]
    assert matrix_product(*arguments) is None
    small = QuantizedTensor(centered=x.centered, scale=x.scale, zero_point=0, y_min=-1, y_max=1)
    assert matrix_product(small, *arguments[1:]) is not None
