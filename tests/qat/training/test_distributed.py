"""Two processes with gloo: equal scales, statistics, gradients and codes, those of one process with all the data."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing import spawn

import qat
from emulator import Arithmetic
from qat.distributed import combined, moments
from qat.scales.observers import OBSERVERS
from tests.qat.networks import images

PROCESSES, STEPS = 2, 3
KINDS = {
    "learned": {"scale": "learned"},
    "free": {"scale": "free"},
    "mse": {"scale": "power_of_two", "observer": "mse"},
    "average": {"scale": "free", "observer": "moving_average"},
}


class Small(nn.Module):
    """BatchNorm behind a convolution, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.conv(x))).mean((2, 3)))


def made(kind: str, examples: Tensor) -> qat.PreparedModel:
    torch.manual_seed(0)
    return qat.prepare(Small(), examples, settings={"*": KINDS[kind]})


def batch(rank: int, step: int) -> Tensor:
    """Another range and another number of images in each process."""
    return images(3 + 2 * rank, 10 * step + rank) * (1 + 2 * rank)


def work(rank: int, folder: Path) -> None:
    warnings.simplefilter("ignore")  # what torch says about starting processes
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=PROCESSES)
    results: dict[str, Any] = {}
    for kind in KINDS:
        prepared = made(kind, batch(rank, 0))
        calibrated = copy.deepcopy(prepared.state_dict())
        model = qat.data_parallel(prepared).train()
        optimizer = torch.optim.SGD(prepared.parameters(), lr=1e-3)
        for step in range(STEPS):
            optimizer.zero_grad()
            model(batch(rank, step)).square().mean().backward()
            if step == 0:
                gradients = {name: p.grad.clone() for name, p in prepared.named_parameters() if p.grad is not None}
                first = copy.deepcopy(prepared.state_dict())
            optimizer.step()
        codes = {name: torch.from_numpy(array) for name, array in qat.codes(prepared, images(4, 99)).items()}
        results[kind] = {
            "calibrated": calibrated,
            "gradients": gradients,
            "first": first,
            "state": prepared.state_dict(),
            "codes": codes,
        }
    ranges = {}
    for name, observer in OBSERVERS.items():
        seen = observer(prepared.quantizers.input.grid, 99.0)
        for step in range(2 - rank):  # another number of batches, too
            seen.observe(batch(rank, step))
        seen.synchronize()
        ranges[name] = seen.range()
    found = combined(moments(batch(0, 0)[:, :, :, : 3 * rank]))  # the first process has no values
    results["observers"], results["moments"] = ranges, (found.count, found.mean, found.variance)
    prepared = made("free", batch(rank, 0))
    data = [(batch(rank, step), torch.zeros(3 + 2 * rank, dtype=torch.int64)) for step in range(2)]
    qat.train(prepared, data, epochs=2, checkpoint=folder / f"checkpoint{rank}")
    results["trained"] = prepared.state_dict()
    results["ptq"] = ptq([batch(rank, step) for step in range(2 - rank)], {"adaround": qat.AdaRound(steps=30)})
    results["corrected"] = ptq([batch(rank, step) for step in range(2 - rank)], {})
    results["searched"] = searched(prepared, rank).as_dict()
    torch.save(results, folder / f"rank{rank}")
    dist.destroy_process_group()


def ptq(batches: list[Tensor], options: dict[str, Any]) -> dict[str, Tensor]:
    """The state behind a calibration with options and a fitting of the accumulator."""
    torch.manual_seed(0)
    model = qat.prepare(Small(), batches[0], Arithmetic(accumulator_bits=14, weight_bits=3))
    qat.calibrate(model, batches, equalize=True, bias_correction=True, **options)
    qat.fit_accumulator(model, batches)
    return model.state_dict()


def searched(model: qat.PreparedModel, rank: int) -> qat.Settings:
    """The first process cares for the bits of the convolution alone, the other one for those of the linear layer."""
    layer = model.quantizers.layers["head" if rank else "conv"]
    return qat.search_bits(model, [batch(rank, 0)], lambda _: (8 - layer.weight.bits) ** 2, 112)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    spawn(work, (folder,), nprocs=PROCESSES)
    return [torch.load(folder / f"rank{rank}", weights_only=True) for rank in range(PROCESSES)]


@pytest.mark.parametrize("kind", KINDS)
def test_processes_are_equal(kind: str, results: list[dict[str, Any]]) -> None:
    one, two = (result[kind] for result in results)
    for part in one:
        assert list(one[part]) == list(two[part])
        for name, tensor in one[part].items():
            assert torch.equal(tensor, two[part][name]), (part, name)
    assert len(one["codes"]) >= 4 and all(len(codes.unique()) > 2 for codes in one["codes"].values())
    assert not torch.equal(one["state"]["norm.running_mean"], one["calibrated"]["norm.running_mean"])
    moved = not torch.equal(
        one["state"]["quantizers.inputs.input.high"], one["calibrated"]["quantizers.inputs.input.high"]
    )
    assert moved == (kind != "learned")
    for name, tensor in results[0]["trained"].items():
        assert torch.equal(tensor, results[1]["trained"][name])


@pytest.mark.parametrize("kind", ["learned", "free", "mse"])
def test_calibration_is_that_of_one_process(kind: str, results: list[dict[str, Any]]) -> None:
    alone = made(kind, torch.cat([batch(0, 0), batch(1, 0)]))
    for name, tensor in alone.state_dict().items():
        assert torch.equal(results[0][kind]["calibrated"][name], tensor), name


def test_post_training_quantization_is_that_of_all_images(results: list[dict[str, Any]]) -> None:
    for part in ("ptq", "corrected"):
        for name, tensor in results[0][part].items():
            assert torch.equal(tensor, results[1][part][name]), (part, name)
    assert any(name.endswith("offsets") for name in results[0]["ptq"])
    alone = ptq([batch(0, 0), batch(0, 1), batch(1, 0)], {})
    for name, tensor in results[0]["corrected"].items():
        if name.endswith("correction"):
            torch.testing.assert_close(tensor, alone[name], rtol=1e-6, atol=1e-7)
            assert tensor.any()
        else:
            assert torch.equal(tensor, alone[name]), name


def test_one_choice_of_bits(results: list[dict[str, Any]]) -> None:
    # 108 and 12 weights: alone each process takes the bits of the layer that the other one cares for.
    assert [result["searched"]["conv"]["weight_bits"] for result in results] == [7, 7]
    assert all("head" not in result["searched"] for result in results)


def test_gradients_are_means(results: list[dict[str, Any]]) -> None:
    alone = made("learned", torch.cat([batch(0, 0), batch(1, 0)])).train()
    freeze = copy.deepcopy(alone.state_dict())
    gradients = []
    for rank in range(PROCESSES):
        alone.load_state_dict(freeze)
        alone.zero_grad()
        alone(batch(rank, 0)).square().mean().backward()
        gradients.append({name: p.grad for name, p in alone.named_parameters() if p.grad is not None})
    for name, tensor in results[0]["learned"]["gradients"].items():
        mean = (gradients[0][name] + gradients[1][name]) / 2
        torch.testing.assert_close(tensor, mean, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(gradients[0][name], gradients[1][name], rtol=1e-3) or not mean.any()


@pytest.mark.parametrize("kind", ["learned", "free"])
def test_statistics_are_those_of_all_images(kind: str, results: list[dict[str, Any]]) -> None:
    both = torch.cat([batch(0, 0), batch(1, 0)])
    alone = made(kind, both).train()
    alone(both)
    for name in ("norm.running_mean", "norm.running_var"):
        torch.testing.assert_close(results[0][kind]["first"][name], alone.state_dict()[name], rtol=1e-5, atol=1e-6)
    if kind == "free":
        for name, tensor in alone.quantizers.state_dict().items():
            assert torch.equal(results[0][kind]["first"][f"quantizers.{name}"], tensor), name


def test_observers_merge(results: list[dict[str, Any]]) -> None:
    found = results[0]["observers"]
    assert found == results[1]["observers"]
    parts = [[batch(0, 0), batch(0, 1)], [batch(1, 0)]]
    everything = torch.cat([part.flatten() for each in parts for part in each]).double().numpy()
    assert found["min_max"] == (everything.min(), everything.max())
    ends = []
    for each in parts:
        low, high = each[0].min().item(), each[0].max().item()
        for part in each[1:]:
            low, high = low + 0.1 * (part.min().item() - low), high + 0.1 * (part.max().item() - high)
        ends.append((low, high))
    np.testing.assert_allclose(found["moving_average"], np.mean(ends, 0), rtol=1e-12)
    for name in ("percentile", "mse", "entropy"):
        alone = OBSERVERS[name](made("average", batch(0, 0)).quantizers.input.grid, 99.0)
        for part in (part for each in parts for part in each):
            alone.observe(part)
        assert found[name] == alone.range()


def test_moments(results: list[dict[str, Any]]) -> None:
    values = batch(0, 0)[:, :, :, :3].double().transpose(0, 1).flatten(1)
    for result in results:
        count, mean, variance = result["moments"]
        assert count == values.shape[1]
        torch.testing.assert_close(mean, values.mean(1), rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(variance, values.var(1), rtol=1e-12, atol=0)
    alone = moments(batch(0, 0)[:, :, :, :3])
    assert alone.count == values.shape[1]
    torch.testing.assert_close(alone.variance, values.var(1), rtol=1e-12, atol=0)
