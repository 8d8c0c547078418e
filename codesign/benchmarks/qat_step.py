"""A training step through the integers against the same float model's in the same run: time and memory."""

from __future__ import annotations

import statistics
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import qat
from emulator import Arithmetic

from .rows import interleaved, median_ratio, row

ROUNDS = 9
BATCH = 64
THREADS = 2
SEED = 1
NARROW = Arithmetic(accumulator_bits=16)


def rows() -> list[dict[str, Any]]:
    """Time and peak memory of a training step.

    A step is forward, cross-entropy, backward and SGD. The steps of one round are taken one after the other, and a
    value is the median of the rounds' ratios: a machine that slows down for a while slows both sides of a ratio.
    """
    with threads(THREADS):
        images, labels = batch()
        models = {"float": network()}
        for name, arithmetic in (("wide", Arithmetic()), ("narrow", NARROW)):
            models[name] = qat.prepare(network(), (images[:1],), arithmetic)
            qat.calibrate(models[name], [images])
        share = overflow_share(models["narrow"], images)
        steps = {name: training_step(model, images, labels) for name, model in models.items()}
        times = interleaved(steps, ROUNDS)
        peaks = {name: peak_bytes(step) for name, step in steps.items()}
    table = []
    for name, what, target in (("wide", "QAT", 1.5), ("narrow", "QAT through 16 bits saturating", 5.0)):
        ratio = median_ratio(times[name], times["float"])
        table.append(row(f"training step, {what}: time over float", ratio, "×", f"≤ {target:g}", ratio <= target))
    table.append(row("sums of it that overflow", 100 * share, "%", "≥ 10", share >= 0.1))
    for name, what in (("wide", "QAT"), ("narrow", "QAT through 16 bits saturating")):
        ratio = peaks[name] / peaks["float"]
        table.append(row(f"training step, {what}: peak tensor memory over float", ratio, "×", "≤ 2", ratio <= 2))
    seconds = statistics.median(times["float"])
    return [*table, row("training step, float: time", 1000 * seconds, "ms")]


def network() -> nn.Sequential:
    """3×32×32 input; convolutions of 32, 64 (stride 2), 64, 128 (stride 2) and 128 channels; a pool; a linear layer."""
    torch.manual_seed(SEED)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for index, (outputs, stride) in enumerate(((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)), 1):
        layers[f"conv{index}"] = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        layers[f"norm{index}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
        inputs = outputs
    return nn.Sequential(
        OrderedDict(**layers, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), head=nn.Linear(inputs, 10))
    )


def batch() -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(BATCH, 3, 32, 32, generator=generator), torch.randint(0, 10, (BATCH,), generator=generator)


def training_step(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """One step of SGD, to be called again and again."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def overflow_share(model: qat.PreparedModel, images: Tensor) -> float:
    """The share, 0 to 1, of all sums of convolutions and linear layers that overflow."""
    counts = qat.overflow_counts(model, images)
    sizes = {}
    handles = [
        layer.register_forward_hook(lambda layer, _, y: sizes.__setitem__(layer.name, y.centered.numel()))
        for layer in model.quantizers
    ]
    with torch.no_grad():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    return sum(int(count.sum()) for count in counts.values()) / sum(sizes[name] for name in counts)


class _LiveBytes(TorchDispatchMode):
    """Bytes of the storages that operators have returned and that are still alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.add(tensor.untyped_storage())
        return result

    def add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.seen:
            self.seen.add(key)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.release, key, storage.nbytes())

    def release(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.live -= size


def peak_bytes(step: Callable[[], None]) -> int:
    """Most bytes alive at once in the tensors that one step makes: activations, gradients, what backward keeps.

    Parameters and the batch were there before; scratch memory inside an operator is nobody's tensor. Neither counts.
    """
    with _LiveBytes() as memory:
        step()
    return memory.peak


@contextmanager
def threads(count: int) -> Iterator[None]:
    """That many torch threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
