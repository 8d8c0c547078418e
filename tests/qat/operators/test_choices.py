"""GLU, PReLU, maxima and minima of two tensors, choices by conditions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic, MaxPool, quantize, run_graph
from tests.qat.networks import exported, images
from tests.qat.networks.applied import MAP, SEQUENCE, VECTOR, Applied, check_applied

Function = Callable[[Any, Tensor], Tensor]


def _both(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(2 * x), 0.5 * x.flip(1) + 0.3


VARIANTS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "glu": (lambda m, x: F.glu(x, 1), MAP),
    "glu of rows": (lambda m, x: nn.GLU()(x), MAP),
    "prelu": (lambda m, x: m.one(x), MAP),
    "prelu of channels": (lambda m, x: m.four(x), MAP),
    "prelu of channels of a sequence": (lambda m, x: m.four(x), SEQUENCE),
    "prelu of channels of a vector": (lambda m, x: m.ten(x), VECTOR),
    "maximum": (lambda m, x: torch.maximum(*_both(x)), MAP),
    "maximum of sequences": (lambda m, x: torch.max(*_both(x)).clamp(-0.1, 0.5), SEQUENCE),
    "minimum": (lambda m, x: torch.minimum(*_both(x)), MAP),
    "minimum of flattened maps": (lambda m, x: torch.fmin(*(y.flatten(1) for y in _both(x))), MAP),
    "maximum with a mean": (lambda m, x: torch.maximum(x, x.sigmoid().mean((2, 3), keepdim=True)), MAP),
    "maximum with a parameter": (lambda m, x: torch.maximum(x, m.four.weight.view(4, 1, 1)), MAP),
    "minimum with a number": (lambda m, x: torch.minimum(torch.tensor(0.2), x), MAP),
    "one function by a condition": (lambda m, x: torch.where(x > 0, x, 0.1 * x), MAP),
    "one tensor by another": (lambda m, x: torch.where(x[:, :1] >= 0.3, _both(x)[0], 0.0), MAP),
    "two tensors by another": (lambda m, x: torch.where(~(x[:, :1] < 0.3), *_both(x)), MAP),
    "a tensor or a number": (lambda m, x: torch.where(x[:, :1] <= 0.3, 2.0, _both(x)[1]), MAP),
    "by a constant": (lambda m, x: torch.where(torch.arange(6) > 2, *_both(x)), MAP),
    "masked": (lambda m, x: x.masked_fill(torch.arange(6) > 2, 0.0), MAP),
    "masked by itself": (lambda m, x: x.masked_fill(x < 0.1, -1.0), MAP),
    "by a threshold parameter": (lambda m, x: torch.where(x > m.four.weight.view(4, 1, 1), 1.0, x), MAP),
    "shrunk": (lambda m, x: F.hardshrink(x, 0.4) + F.softshrink(x, 0.3) * F.threshold(x, 0.2, -1.0) - x.sign(), MAP),
    "a condition as a factor": (lambda m, x: _both(x)[0] * (x[:, :1] > 0) + 2 * (x[:, :1] < 0.5).float(), MAP),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_choices(name: str, tmp_path: Path) -> None:
    function, shape = VARIANTS[name]
    slopes = nn.PReLU(4), nn.PReLU(10)
    for slope in slopes:
        slope.weight.data.uniform_(-0.5, 1.5, generator=torch.Generator().manual_seed(0))
    model = Applied(function, one=nn.PReLU(init=0.3), four=slopes[0], ten=slopes[1])
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if "prelu" in name:
        used = "one" if name == "prelu" else "ten" if shape == VECTOR else "four"
        for part, parameter in model.named_parameters():
            parameter.requires_grad_(part.startswith(used))
    check_applied(model, shape, tmp_path)


@pytest.mark.parametrize("bits", [8, 3])
@pytest.mark.parametrize("smaller", [False, True])
def test_a_maximum_takes_one_of_the_codes(smaller: bool, bits: int, tmp_path: Path) -> None:
    function = (lambda m, x: torch.minimum(*_both(x))) if smaller else (lambda m, x: torch.maximum(*_both(x)))
    x = images(9, shape=MAP)
    graph = exported(qat.prepare(Applied(function), x, Arithmetic(activation_bits=bits)), tmp_path)
    codes = run_graph(graph, {"input": x.numpy()}, every=True)
    (pool,) = (node for node in graph.nodes if isinstance(node, MaxPool))
    both = torch.from_numpy(codes[pool.inputs[0]]).view(9, 4, 2, 7, 6)
    expected = both.amax(2)
    assert (codes[graph.nodes[-1].name] == (-1 - expected if smaller else expected).numpy()).all()
    assert both[:, :, 0].ne(both[:, :, 1]).any()


def test_what_a_condition_lets_through_is_not_rounded(tmp_path: Path) -> None:
    model = Applied(lambda m, x: torch.tanh(x) * (x[:, :1] > 0))
    x = images(9, shape=MAP)
    prepared = qat.prepare(model, x, Arithmetic(multiplier_bits=1))
    graph = exported(prepared, tmp_path)
    codes = run_graph(graph, {"input": x.numpy()}, every=True)
    tanh, zero = codes["tanh"], next(node.zero_point for node in graph.nodes if node.name == "tanh")
    (source,) = graph.inputs
    inside = quantize(x.numpy(), source.scale, source.zero_point, -128, 127)[:, :1] > source.zero_point
    assert (codes["mul_1"] == torch.where(torch.from_numpy(inside), torch.from_numpy(tanh), zero).numpy()).all()
