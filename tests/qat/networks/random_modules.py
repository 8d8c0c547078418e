"""Random modules of all that `prepare` lowers, `random_network` with more of torch, and how many go through.

    python -m tests.qat.networks.random_modules [COUNT [FIRST SEED]]

prints how many of COUNT modules `prepare` takes with torch's codes being the emulator's, and in how many codes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from emulator import Arithmetic, run_graph
from tests.qat.networks import exported, images, normalized, randomized
from tests.qat.networks.random_network import (
    CLAMPS,
    Apply,
    Function,
    Pick,
    RandomNetwork,
    Shape,
    convolution,
    random_network,
)

OPERATORS: tuple[Function, ...] = (torch.add, torch.sub, torch.mul, lambda x, p: p - x, torch.maximum, torch.minimum)


class WithParameter(nn.Module):
    """An activation and a parameter, or a buffer, that broadcasts to it."""

    def __init__(self, operator: Function, value: Tensor, trained: bool) -> None:
        super().__init__()
        self.operator = operator
        if trained:
            self.value = nn.Parameter(value)
        else:
            self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        return self.operator(x, self.value)


def generator(pick: Pick) -> torch.Generator:
    return torch.Generator().manual_seed(pick(*range(1000)))


def windowed(shape: Shape) -> bool:
    """Whether it is that of a map or a sequence."""
    return len(shape) > 1


def transposed(pick: Pick, shape: Shape) -> nn.Module:
    """A transposed convolution, BatchNorm and an activation; of a vector, a linear layer with weights computed."""
    if not windowed(shape):
        return nn.utils.parametrizations.weight_norm(nn.Linear(shape[0], pick(3, 6)))
    channels, *sizes = shape
    groups = pick(*(g for g in (1, 1, 2, channels) if channels % g == 0))
    outputs = groups * pick(1, 2)
    fields = []
    for _ in sizes:
        kernel, stride, dilation = pick(1, 2, 3, 4), pick(1, 2, 2, 3), pick(1, 1, 2)
        padding, output = pick(0, 0, dilation * (kernel - 1) // 2), pick(*range(max(stride, dilation)))
        fields.append((kernel, stride, padding, output, dilation))
    kernel, stride, padding, output, dilation = zip(*fields, strict=True)
    kind, norm = (nn.ConvTranspose2d, nn.BatchNorm2d) if len(sizes) == 2 else (nn.ConvTranspose1d, nn.BatchNorm1d)
    layer = kind(channels, outputs, kernel, stride, padding, output, groups, pick(True, False), dilation)
    return nn.Sequential(layer, pick(nn.Identity, norm)(outputs), Apply(pick(lambda x: x, *CLAMPS)))


def framed(pick: Pick, shape: Shape) -> nn.Module:
    """A convolution with another padding mode, or a padding alone."""
    mode = pick("reflect", "replicate", "circular")
    if windowed(shape) and pick(True, False):
        layer = convolution(pick, shape)
        if not isinstance(layer.padding, str) and all(
            p < size for p, size in zip(layer.padding, shape[1:], strict=True)
        ):
            fields = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
            made = type(layer)(layer.in_channels, layer.out_channels, *fields, padding_mode=mode)
            return nn.Sequential(made)
    frame = [pick(*range(min(3, size))) for size in shape[:0:-1] for _ in range(2)] or [1, 2]
    if not windowed(shape):
        return Apply(lambda x: F.pad(x, frame))
    zeros = pick(True, False)
    return Apply(lambda x: F.pad(x, [*frame, 1, 0]) if zeros else F.pad(x, frame, mode))


def resized(pick: Pick, shape: Shape) -> nn.Module:
    """Upsampling, or a pool that ceil_mode widens; of a vector, its elements repeated."""
    if not windowed(shape):
        return Apply(lambda x: x.repeat_interleave(2, 1))
    linear = "bilinear" if len(shape) == 3 else "linear"
    mode, corners, factor = pick("nearest", "nearest-exact", linear, linear), pick(True, False), pick(2, 2, 3)
    pool = {3: (F.max_pool2d, F.avg_pool2d), 2: (F.max_pool1d, F.avg_pool1d)}[len(shape)]
    kernel, stride, function = pick(2, 3), pick(1, 2), pick(*pool)
    if min(shape[1:]) >= 3 and pick(True, False):
        padding = pick(0, 1)
        return Apply(lambda x: function(x, kernel, stride, padding, ceil_mode=True))
    options = {"align_corners": corners} if mode == linear else {}
    return nn.Upsample(scale_factor=factor, mode=mode, **options)


def normed(pick: Pick, shape: Shape) -> nn.Module:
    """A norm with statistics of its own, wherever it stands."""
    kinds = {3: (nn.BatchNorm2d, nn.InstanceNorm2d), 2: (nn.BatchNorm1d, nn.InstanceNorm1d), 1: (nn.BatchNorm1d,)}
    kind = pick(*kinds[len(shape)])
    return kind(shape[0], affine=pick(True, False), track_running_stats=True)


def parametrized(pick: Pick, shape: Shape) -> nn.Module:
    """A position embedding, a layer scale, a mask, a learned number."""
    sizes = pick(shape, (1, *shape), (shape[0], *[1] * (len(shape) - 1)), shape[-1:], ())
    value = torch.randn(sizes, generator=generator(pick))
    return WithParameter(pick(*OPERATORS), value, pick(True, False))


def gated(pick: Pick, shape: Shape) -> nn.Module:
    """GLU, PReLU, or a choice by a condition on the tensor itself."""
    number = pick(0.0, 0.3, -0.2)
    choices: list[nn.Module] = [
        nn.PReLU(), nn.PReLU(shape[0], 0.3), Apply(lambda x: torch.where(x > number, x, 0.1 * x)),
        Apply(lambda x: x.masked_fill(x <= number, -0.5)), Apply(lambda x: F.softshrink(x, 0.2)),
    ]  # fmt: skip
    axes = [axis for axis, size in enumerate(shape, 1) if size % 2 == 0]
    if axes:
        choices += [nn.GLU(pick(*axes))] * 2
    return pick(*choices)


def gathered(pick: Pick, shape: Shape) -> nn.Module:
    """Rolled, repeated, expanded, summed."""
    axis = pick(*range(1, len(shape) + 1))
    size = shape[axis - 1]
    shift = pick(*range(-size, size))
    counts = [1] * (len(shape) + 1)
    counts[axis] = 2
    return Apply(
        pick(
            lambda x: x.roll(shift, axis),
            lambda x: x.repeat_interleave(2, axis),
            lambda x: x.repeat(counts),
            lambda x: x.mean(axis, keepdim=True).expand(x.shape) if len(shape) > 1 else x.roll(shift, axis),
            lambda x: x.flip(axis).sum(-1, keepdim=True) if len(shape) > 1 else x.flip(axis),
        )
    )


def chosen(pick: Pick, shape: Shape) -> nn.Module:
    """The larger or smaller of two, or one of them by a condition."""
    return Apply(
        pick(
            torch.maximum,
            torch.minimum,
            lambda a, b: F.relu(torch.maximum(a, b)),
            lambda a, b: torch.where(a > 0.1, a, b),
            lambda a, b: torch.where(a >= b, a * 0.5, b),
            lambda a, b: a * (b > 0),
        )
    )


MORE = (transposed, transposed, framed, resized, normed, parametrized, parametrized, gated, gathered)


def random_module(seed: int) -> tuple[RandomNetwork, Shape]:
    """A network with all kinds of layers, and the shape of its input."""
    rng = np.random.default_rng(seed)

    def pick(*choices: object) -> object:
        return choices[int(rng.integers(len(choices)))]

    torch.manual_seed(seed)
    return random_network(pick, 16, MORE, (chosen, chosen))


@dataclass
class Found:
    """What became of one module: the codes compared, those that differ, or why it was refused."""

    codes: int = 0
    mismatches: int = 0
    refusal: str = ""


def examined(seed: int, folder: Path) -> Found:
    """`prepare`, calibrate, export; torch's codes in every layer beside the emulator's."""
    model, shape = random_module(seed)
    x = images(6, seed, shape)
    (normalized(model, x) if seed % 2 else randomized(model, seed)).eval()
    rng = np.random.default_rng(seed)
    arithmetic = [
        Arithmetic(),
        Arithmetic(accumulator_bits=16, activation_bits=int(rng.integers(4, 9)), rounding="half_away"),
        Arithmetic(
            accumulator_bits=int(rng.integers(10, 21)), overflow="wrap", multiplier_bits=int(rng.integers(4, 25))
        ),
    ][seed % 3]
    try:
        prepared = qat.prepare(model, x, arithmetic)
    except ValueError as error:
        return Found(refusal=str(error))
    graph = exported(prepared, folder)
    expected, codes = run_graph(graph, {"input": x.numpy()}, every=True), qat.codes(prepared, x)
    sizes = {name: made.size for name, made in codes.items()}
    wrong = {name: int((made != expected[name]).sum()) for name, made in codes.items()}
    return Found(sum(sizes.values()), sum(wrong.values()))


def main(count: int, first: int) -> int:
    """Print what became of the modules; 0 unless codes differ."""
    start, refusals, found = time.process_time(), Counter[str](), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            found.append(examined(seed, Path(folder)))
            if found[-1].refusal:
                print(f"seed {seed}: {found[-1].refusal}")
                refusals[found[-1].refusal.partition("`): ")[2][:60]] += 1
    through = [one for one in found if not one.refusal and not one.mismatches]
    print(
        f"{len(through)} of {count} modules go through, {sum(one.mismatches for one in found)} of "
        f"{sum(one.codes for one in found)} codes differ ({time.process_time() - start:.0f} s)"
    )
    return int(any(one.mismatches for one in found))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(numbers + [95, 0][len(numbers) :])))
