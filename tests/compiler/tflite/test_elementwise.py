"""Sums, products, pools, means and functions against TFLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import Arithmetic, run_graph
from tests.compiler.tflite.net import Net, check_tflm, graph, refusal


@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
def test_two_tensors(tmp_path: Path, code: str) -> None:
    for seed, shape in enumerate([(1, 4, 5, 6), (1, 1, 1, 6), (1, 4, 1, 6), (1, 4, 5, 1)]):
        net = Net(seed)
        a, b = net.input((1, 4, 5, 6)), net.input(shape)
        net.add(code, [a, b] if seed % 2 else [b, a], (1, 4, 5, 6), FusedActivationFunction=seed % 4)
        check_tflm(net, tmp_path)


@pytest.mark.parametrize("code", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("shape", [(), (6,), (1, 1, 6), (1, 4, 5, 6)])
def test_constant_operand(tmp_path: Path, code: str, shape: tuple[int, ...]) -> None:
    net = Net(len(shape))
    x = net.input((1, 4, 5, 6))
    c = net.constant(net.rng.integers(-128, 128, shape).astype(np.int8), *net.quantization())
    net.add(code, [c, x] if code == "SUB" else [x, c], (1, 4, 5, 6))
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("code", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(tmp_path: Path, code: str) -> None:
    for seed, (kernel, stride, padding) in enumerate([((2, 2), 2, 1), ((3, 3), 2, 0), ((3, 2), 1, 0), ((9, 8), 1, 1)]):
        net = Net(seed)
        x = net.input((1, 9, 8, 5))
        size = [-(-n // stride) if padding == 0 else (n - k) // stride + 1 for n, k in zip((9, 8), kernel, strict=True)]
        net.add(
            code,
            [x],
            (1, *size, 5),
            x,
            Padding=padding,
            StrideH=stride,
            StrideW=stride,
            FilterHeight=kernel[0],
            FilterWidth=kernel[1],
            FusedActivationFunction=seed,
        )
        check_tflm(net, tmp_path)


def test_a_mean_that_no_multiplier_makes(tmp_path: Path) -> None:
    """With `double` some odd numbers of positions have none. The arithmetic that promises TFLM's bits refuses it."""
    net = Net(1)
    x = net.input((1, 55, 79, 2))
    window = {"StrideH": 1, "StrideW": 1, "FilterHeight": 55, "FilterWidth": 79}
    net.add("AVERAGE_POOL_2D", [x], (1, 1, 1, 2), x, Padding=1, **window)
    text = refusal(net, tmp_path, Arithmetic.tflm())
    assert "AVERAGE_POOL_2D" in text and "no multiplier averages so many raw codes exactly; pool in two steps" in text
    codes = np.random.default_rng(2).integers(-128, 128, (20, 55, 79, 2)).astype(np.int8)
    total = codes.astype(np.int64).sum(axis=(1, 2))
    (ours,) = run_graph(graph(net, tmp_path, Arithmetic()), {"x0": codes}).values()
    assert_array_equal(ours.reshape(20, 2), np.sign(total) * ((2 * np.abs(total) + 4345) // (2 * 4345)))


@pytest.mark.parametrize("code", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools_copy_codes_to_a_close_scale(tmp_path: Path, code: str) -> None:
    """TFLite allows a difference of 10^−6, which is a factor of 1.5 here."""
    for activation in (0, 3):
        net = Net(1)
        x = net.input((1, 4, 4, 3), (1.0e-6, 3))
        fields = {"Padding": 1, "StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
        y = net.add(code, [x], (1, 2, 2, 3), (1.5e-6, 3), **fields, FusedActivationFunction=activation)
        net.add("QUANTIZE", [y], (1, 2, 2, 3), (1.0e-6, 3))
        check_tflm(net, tmp_path)


@pytest.mark.parametrize("axes", [(1, 2), (2, 1), (-2,), (3,), (1, 3), (1, 2, 3), (2, 3)])
@pytest.mark.parametrize("keep", [True, False])
def test_mean(tmp_path: Path, axes: tuple[int, ...], keep: bool) -> None:
    net = Net(len(axes))
    x = net.input((1, 4, 3, 5))
    shape = np.zeros((1, 4, 3, 5)).sum(axis=axes, keepdims=keep).shape
    y = net.add("MEAN", [x, net.integers(*axes)], shape, KeepDims=keep)
    net.add("QUANTIZE", [y], shape)
    check_tflm(net, tmp_path)


def test_sum(tmp_path: Path) -> None:
    net = Net(5)
    x = net.input((1, 4, 3, 5))
    net.add("SUM", [x, net.integers(1, 2)], (1, 5), (0.3, 4), KeepDims=False)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("axes", [(1, 2), (3,), (1, 3)])
def test_reduce_max(tmp_path: Path, axes: tuple[int, ...]) -> None:
    net = Net(6)
    x = net.input((1, 4, 3, 5))
    shape = np.zeros((1, 4, 3, 5)).sum(axis=axes).shape
    net.add("REDUCE_MAX", [x, net.integers(*axes)], shape, x, KeepDims=False)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("code", ["LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "QUANTIZE"])
def test_functions(tmp_path: Path, code: str) -> None:
    fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
    options = {"Alpha": 0.2} if code == "LEAKY_RELU" else {}
    for seed in range(4):
        net = Net(seed)
        x = net.input((1, 64, 8))
        net.add(code, [x], (1, 64, 8), fixed.get(code), **options)
        check_tflm(net, tmp_path)


@pytest.mark.parametrize("code", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("constant", [False, True])
def test_extremes_of_two(tmp_path: Path, code: str, constant: bool) -> None:
    net = Net(8)
    x = net.input((1, 4, 5, 6), (0.1, 7))
    values = net.rng.integers(-128, 128, (1, 4, 5, 6)).astype(np.int8)
    other = net.constant(values, 0.1, 7) if constant else net.input((1, 4, 5, 6), (0.1, 7))
    net.add(code, [other, x], (1, 4, 5, 6), x)
    check_tflm(net, tmp_path)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_extremes_with_one_code(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A clamp, from −40 to 33 here."""
    net = Net(9)
    x = net.input((1, 4, 5, 6), (0.1, 7))
    low, high = (net.constant(np.full(shape, code, np.int8), 0.1, 7) for code in (-40, 33))
    y = net.add("MAXIMUM", [x, low], (1, 4, 5, 6), x)
    net.add("MINIMUM", [high, y], (1, 4, 5, 6), x)
    read = check_tflm(net, tmp_path)
    assert (read.nodes[-1].y_min, read.nodes[-1].y_max) == (-40, 33)


def test_extremes_that_are_refused(tmp_path: Path) -> None:
    for a, b, text in (
        ((0.1, 7), (0.1, 8), "put a QUANTIZE between"),
        ((0.1, 7), (0.2, 7), "put a QUANTIZE between"),
    ):
        net = Net(10)
        x = net.input((1, 4), a)
        net.add("MAXIMUM", [x, net.constant(np.zeros(1, np.int8), *b)], (1, 4), x)
        assert text in refusal(net, tmp_path)
    net = Net(11)
    x, z = net.input((1, 4, 3), (0.1, 7)), net.input((1, 1, 3), (0.1, 7))
    net.add("MINIMUM", [x, z], (1, 4, 3), x)
    assert "must have one shape, or one must be a constant code, not (4, 3) and (1, 3)" in refusal(net, tmp_path)
