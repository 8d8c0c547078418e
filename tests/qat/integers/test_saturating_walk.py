"""The training's walk of at most 16 bits against the emulator's, whose kernels are others, and against its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import emulator
from emulator import Arithmetic
from qat.integers import saturating_walk, walk_kernels
from qat.integers.geometry import Geometry
from qat.integers.tensor import QuantizedTensor

# (batch, channels, height, width), outputs, kernel, geometry: one more than the blocks hold, less than a block, …
CASES = {
    "more than a block": ((2, 3, 7, 8), 70, (3, 3), Geometry(padding=(1, 1, 1, 1))),
    "uneven": ((1, 5, 9, 9), 40, (3, 2), Geometry(strides=(2, 1), padding=(0, 1, 2, 0))),
    "long": ((1, 70, 3, 5), 5, (2, 1), Geometry()),
    "dilated": ((2, 4, 9, 9), 6, (3, 3), Geometry(dilations=(2, 3), padding=(1, 2, 3, 2))),
    "depthwise": ((3, 8, 8, 8), 8, (3, 3), Geometry(groups=8, padding=(1, 1, 1, 1))),
    "multiplied": (
        (2, 6, 8, 9),
        12,
        (3, 3),
        Geometry(groups=6, strides=(2, 2), dilations=(2, 1), padding=(0, 2, 1, 0)),
    ),
    "tiles": ((2, 4, 18, 17), 3, (1, 1), Geometry()),
}
ZERO_POINT = 5


def integers(generator: torch.Generator, low: int, high: int, *shape: int) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=generator).float()


def layer(
    case: str, bits: int, narrow: bool = False
) -> tuple[QuantizedTensor, Tensor, Tensor, Geometry, Arithmetic, Tensor]:
    """Operands that overflow, and which channels are said to. narrow : codes of 3 bits, weights of 6"""
    generator = torch.Generator().manual_seed(bits)
    shape, outputs, kernel, geometry = CASES[case]
    arithmetic = Arithmetic(accumulator_bits=bits)
    (least, most), limit = ((2, 9), 31) if narrow else ((-128, 127), 127)
    centered = integers(generator, least - ZERO_POINT, most - ZERO_POINT, *shape)
    x = QuantizedTensor(centered=centered, scale=torch.tensor(1.0), zero_point=ZERO_POINT, y_min=least, y_max=most)
    weight = integers(generator, -limit, limit, outputs, shape[1] // geometry.groups, *kernel)
    bias = integers(generator, *arithmetic.bias_range, outputs).double()
    risky = torch.rand(outputs, generator=generator) < 0.6
    return x, weight, bias, geometry, arithmetic, risky | (torch.arange(outputs) == 0)


def emulated(x: QuantizedTensor, weight: Tensor, bias: Tensor, geometry: Geometry, arithmetic: Arithmetic) -> Tensor:
    """The sums by the emulator in NumPy, in torch's layout."""
    sums, _ = emulator.convolve(
        x.codes.permute(0, 2, 3, 1).numpy(),
        weight.to(torch.int8).permute(0, 2, 3, 1).numpy(),
        bias.numpy().astype(np.int64),
        arithmetic,
        ZERO_POINT,
        geometry.strides,
        geometry.padding,
        geometry.dilations,
        geometry.groups,
        compiled=False,
    )
    return torch.from_numpy(sums).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("bits", "narrow"), [(16, False), (12, False), (8, True)])
@pytest.mark.parametrize("case", CASES)
def test_convolutions(case: str, bits: int, narrow: bool) -> None:
    x, weight, bias, geometry, arithmetic, risky = layer(case, bits, narrow)
    assert saturating_walk.walks(x, weight, geometry, arithmetic)
    assert saturating_walk.spare_bits(x, weight, arithmetic) == (8 if narrow else 0)
    ideal = geometry.convolve(x.centered.double(), weight.double(), bias).requires_grad_()
    sums = saturating_walk.saturated_walk(x, weight, bias, geometry, arithmetic, risky, ideal)
    channels = risky.view(1, -1, 1, 1)
    expected = torch.where(channels, emulated(x, weight, bias, geometry, arithmetic), ideal.detach())
    assert sums.dtype == torch.float32
    assert torch.equal(sums, expected.float())
    above, below = expected < ideal, expected > ideal
    assert above.any()
    assert below.any()
    gradient = torch.randn(sums.shape, generator=torch.Generator().manual_seed(0))
    sums.backward(gradient)
    outwards = (above & (gradient < 0)) | (below & (gradient > 0))
    assert torch.equal(ideal.grad, torch.where(outwards, 0, gradient).double())


def test_a_flattened_map_is_summed_in_its_stored_order() -> None:
    generator = torch.Generator().manual_seed(1)
    shape, arithmetic = (3, 2, 3), Arithmetic(accumulator_bits=16)
    centered = integers(generator, -133, 122, 5, 18)
    x = QuantizedTensor(
        centered=centered, scale=torch.tensor(1.0), zero_point=ZERO_POINT, y_min=-128, y_max=127, map_shape=shape
    )
    weight, bias = integers(generator, -127, 127, 7, 18), integers(generator, -30000, 30000, 7).double()
    ideal = torch.nn.functional.linear(centered.double(), weight.double(), bias)
    sums = saturating_walk.saturated_walk(x, weight, bias, None, arithmetic, torch.ones(7, dtype=torch.bool), ideal)
    order = [(c * 2 + row) * 3 + column for row in range(2) for column in range(3) for c in range(3)]
    for sample, found in zip(centered.long().tolist(), sums.tolist(), strict=True):
        for row, start, value in zip(weight.long().tolist(), bias.long().tolist(), found, strict=True):
            total = start
            for index in order:
                total = min(max(total + sample[index] * row[index], -32768), 32767)
            assert value == total


def test_what_is_not_walked_here() -> None:
    x, weight, _, geometry, _, _ = layer("long", 16)
    assert not saturating_walk.walks(x, weight, geometry, Arithmetic(accumulator_bits=17))
    assert not saturating_walk.walks(x, weight, geometry, Arithmetic(accumulator_bits=16, overflow="wrap"))
    # 133 · 247 needs more than 16 bits: weights of a zero point of their own.
    assert not saturating_walk.walks(x, weight * 0 + 247, geometry, Arithmetic(accumulator_bits=16))
    assert saturating_walk.walks(x, weight * 0 + 246, geometry, Arithmetic(accumulator_bits=16))


def test_the_cases_fill_blocks_and_tiles() -> None:
    chosen = {case: int(layer(case, 16)[-1].sum()) for case in CASES if case not in ("depthwise", "multiplied")}
    lanes = walk_kernels.LANES
    assert {next((size for size in lanes if count <= size), lanes[-1]) for count in chosen.values()} == set(lanes)
    assert CASES["long"][0][1] > walk_kernels.STEPS
    assert walk_kernels.TILE * walk_kernels.ROWS < 2 * 18 * 17
