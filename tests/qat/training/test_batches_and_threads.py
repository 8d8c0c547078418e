"""A sample has one value: in a batch of 1 as in one of 64, by one thread as by two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import qat
from codesign.benchmarks.qat_step import threads
from emulator.operators.products import walk
from qat.integers import rows
from tests.qat.networks.prepared_models import assert_equal, models, training

MODELS = models("ResNet-8", "TCN", "recommender", "GRU cell")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@pytest.mark.parametrize("name", MODELS)
def test_batches_of_1_and_of_64(name: str) -> None:
    model, inputs = MODELS[name]()
    together = qat.codes(model, *inputs)
    samples = [qat.codes(model, *(x[index : index + 1] for x in inputs)) for index in range(len(inputs[0]))]
    assert len(samples) == 64
    assert_equal({layer: np.concatenate([sample[layer] for sample in samples]) for layer in together}, together)


class Pools:
    """Counts the thread pools that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for module in (rows, walk):
            monkeypatch.setattr(module, "ThreadPoolExecutor", self._counting(module.ThreadPoolExecutor))

    def _counting(self, make: Callable[[int], object]) -> Callable[[int], object]:
        def counting(workers: int) -> object:
            self.count += 1
            return make(workers)

        return counting


@pytest.mark.parametrize("name", MODELS)
def test_one_and_two_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = MODELS[name]()
    pools, found = Pools(monkeypatch), []
    # Every pass is cut in two, however small.
    monkeypatch.setattr(rows, "PARALLEL_ELEMENTS", 1)
    monkeypatch.setattr(walk, "PARALLEL_STEPS", 1)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for count in (1, 2):
        monkeypatch.setattr(walk, "processors", lambda count=count: count)
        model.load_state_dict(state)
        with threads(count), torch.no_grad():
            codes, overflows = qat.codes(model, *inputs), qat.overflow_counts(model, *inputs)
            results = {"eval": model.eval()(*inputs).numpy(), "train": training(model)(*inputs).numpy()}
        found.append((codes, overflows, results))
        assert pools.count == 0 or count == 2
    # What computes with vectors alone, in a wide accumulator, has no pass of ours to cut.
    assert pools.count or name.startswith(("recommender", "GRU", "random"))
    for one, two in zip(*found, strict=True):
        assert_equal(one, two)
