"""Codes in another order: shuffles in every way that they are written, flips and selections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic, Concat, Machine, run_graph
from tests.qat.networks import assert_equal_codes, assert_one_value, exported, float_result, images, layers
from tests.qat.networks.shufflenet import channel_shuffle

SHAPE = (3, 6, 4)


class Ordered(nn.Module):
    """A convolution of 12 channels, what a function makes of it, and one more convolution."""

    def __init__(self, function: Callable[[Ordered, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.register_buffer("order", torch.tensor([3, 0, 0, 7, 11]))
        self.norm = nn.BatchNorm2d(12)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.conv(x))


def by_hand(x: Tensor, r: int) -> Tensor:
    """A pixel shuffle by reshape and permute."""
    batch, channels, height, width = x.shape
    x = x.view(batch, channels // r**2, r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels // r**2, height * r, width * r)


VARIANTS: dict[str, tuple[Callable[[Ordered, Tensor], Tensor], list[str]]] = {
    "shuffle": (lambda m, x: channel_shuffle(x, 3), ["Gather"]),
    "shuffle by permute": (
        lambda m, x: x.reshape(-1, 4, 3, 6, 4).permute(0, 2, 1, 3, 4).reshape(-1, 12, 6, 4),
        ["Gather"],
    ),
    "shuffle of groups of one": (lambda m, x: channel_shuffle(x, 12), []),
    "shuffle into a vector": (lambda m, x: x.view(-1, 2, 6, 6, 4).transpose(1, 2).flatten(1), ["Gather", "Reshape"]),
    "five axes and back": (lambda m, x: x.unflatten(1, (2, 6)).contiguous().flatten(1, 2), []),
    "rows and columns": (lambda m, x: x.view(-1, 12, 3, 2, 4).transpose(2, 3).reshape(-1, 12, 6, 4), ["Gather"]),
    "module": (lambda m, x: F.relu(F.channel_shuffle(x, 4)), ["Gather"]),
    "pixel shuffle": (lambda m, x: F.relu6(F.pixel_shuffle(x, 2)), ["PixelShuffle"]),
    "pixel shuffle by hand": (lambda m, x: by_hand(x, 2), ["PixelShuffle"]),
    "pixel unshuffle": (lambda m, x: F.pixel_unshuffle(x, 2), ["PixelUnshuffle"]),
    "there and back": (lambda m, x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), ["PixelShuffle", "PixelUnshuffle"]),
    "pixel shuffle by 1": (lambda m, x: F.pixel_shuffle(x, 1), []),
    "flip": (lambda m, x: x.flip(-1), ["Gather"]),
    "selection": (lambda m, x: x.index_select(1, m.order), ["Gather"]),
    "of a vector": (lambda m, x: x.flatten(1).flip(1), ["Reshape", "Gather"]),
}


@pytest.mark.parametrize(
    "arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=10, activation_bits=7)], ids=["default", "narrow"]
)
@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name: str, arithmetic: Arithmetic, tmp_path: Path) -> None:
    torch.manual_seed(0)
    function, kinds = VARIANTS[name]
    model, x = Ordered(function).eval(), images(8, shape=SHAPE)
    prepared = qat.prepare(model, x[:1], arithmetic)
    assert [type(layer).__name__ for layer in prepared.quantizers] == ["Weighted", *kinds], layers(prepared)
    qat.calibrate(prepared, [x])
    assert_equal_codes(prepared, x, tmp_path)
    assert_one_value(prepared, x)
    with torch.no_grad():
        torch.testing.assert_close(float_result(prepared, x), model(x))
    graph, given = exported(prepared, tmp_path), qat.host_inputs(prepared, x[:1])
    config = AcceleratorConfig(arithmetic=arithmetic)
    machine = Machine(config).run(compile_graph(graph, config), given)
    for output, codes in run_graph(graph, given).items():
        assert (machine.outputs[output] == codes).all()
    if "huffle" in name:
        assert not any(isinstance(node, Concat) for node in graph.nodes)
    if arithmetic.accumulator_bits == 10:
        assert qat.overflow_counts(prepared, x)["conv"].sum() > 100


def test_gradients_go_the_same_way_back() -> None:
    torch.manual_seed(0)
    model, x = Ordered(lambda m, x: channel_shuffle(x, 3)), images(8, shape=SHAPE)
    prepared = qat.prepare(model, x, Arithmetic(accumulator_bits=32)).train()
    plain = qat.prepare(Ordered(lambda m, x: x), x)
    plain.load_state_dict(prepared.state_dict())
    weights = torch.randn(8, 12, 6, 4, generator=torch.Generator().manual_seed(1))
    (prepared(x) * weights).sum().backward()
    back = F.channel_shuffle(weights, 4)  # undoes a shuffle of 12 channels in 3 groups
    (plain.train()(x) * back).sum().backward()
    assert torch.equal(prepared.conv.weight.grad, plain.conv.weight.grad)
