"""Recipes: the same as their steps one by one, from a float model to a file, and training that resumes by epochs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

import qat
from codesign import digits
from compiler import load_onnx
from emulator import Arithmetic, run_graph


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    return digits.load()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, 10),
    )  # fmt: skip


def loader(data: digits.Digits, generator: torch.Generator) -> DataLoader[tuple[torch.Tensor, ...]]:
    dataset = TensorDataset(data.train_images, data.train_labels)
    return DataLoader(dataset, batch_size=96, shuffle=True, generator=generator)


def test_from_a_float_model_to_a_file(data: digits.Digits, tmp_path: Path) -> None:
    model, images = network(), data.train_images[:128]
    batches = partial(loader, data)
    adam = partial(torch.optim.Adam, lr=5e-3)
    qat.train(model, batches(torch.Generator().manual_seed(0)), epochs=4, optimizer=adam)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    file, arithmetic = tmp_path / "model.onnx", Arithmetic(accumulator_bits=16)
    losses: list[float] = []
    recipe = qat.Recipe(
        partial(qat.prune_channels, example_inputs=images, share=0.25, layers="0"),
        partial(qat.factorize, rank=6, layers="9"),
        partial(qat.prune_pattern, example_inputs=images, n=2, m=4, layers="4"),
        partial(qat.prepare, example_inputs=images, arithmetic=arithmetic),
        partial(qat.calibrate, batches=[images]),
        partial(
            qat.train, batches=batches(torch.Generator().manual_seed(1)), epochs=2, optimizer=adam,
            distillation=qat.Distillation(teacher=model), on_step=lambda step, loss: losses.append(loss),
        ),
        partial(qat.export_onnx, path=file),
    )  # fmt: skip
    torch.manual_seed(1)
    result = recipe(model)
    assert isinstance(result, qat.PreparedModel) and len(losses) == 2 * 15
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert digits.accuracy(result, data.test_images, data.test_labels) >= 0.8

    torch.manual_seed(1)
    steps = qat.prune_channels(model, images, 0.25, layers="0")
    steps = qat.factorize(steps, rank=6, layers="9")
    qat.prune_pattern(steps, images, 2, 4, layers="4")
    prepared = qat.prepare(steps, images, arithmetic)
    qat.calibrate(prepared, [images])
    distillation = qat.Distillation(teacher=model)
    qat.train(prepared, batches(torch.Generator().manual_seed(1)), epochs=2, optimizer=adam, distillation=distillation)
    prepared.eval()(images)  # a learned scale takes its value where it is read
    for name, tensor in prepared.state_dict().items():
        assert torch.equal(result.state_dict()[name], tensor), name

    graph = load_onnx(file)
    shapes = {node.name: np.asarray(node.weight).shape for node in graph.nodes if hasattr(node, "weight")}
    assert shapes == {"0": (6, 3, 3, 1), "4": (12, 3, 3, 6), "9.0": (48, 6), "9.1": (6, 10)}
    rows = np.asarray(next(node for node in graph.nodes if node.name == "4").weight).reshape(12, -1)
    padded = np.pad(rows, ((0, 0), (0, 2))).reshape(12, -1, 4)
    assert ((padded != 0).sum(2) <= 2).all() and (padded != 0).sum(2).max() == 2
    expected = run_graph(graph, {"input": data.test_images.numpy()}, every=True)
    for name, codes in qat.codes(result, data.test_images).items():
        np.testing.assert_array_equal(codes, expected[name])


def test_a_training_resumes_behind_an_epoch(data: digits.Digits, tmp_path: Path) -> None:
    images = data.train_images[:32]

    def run(epochs: int, file: Path, seed: int) -> qat.PreparedModel:
        torch.manual_seed(0)
        prepared = qat.prepare(network(), images)
        torch.manual_seed(seed)
        shuffle = torch.Generator().manual_seed(seed)
        qat.train(
            prepared,
            DataLoader(TensorDataset(images, data.train_labels[:32]), batch_size=16, shuffle=True, generator=shuffle),
            epochs=epochs,
            scheduler=partial(StepLR, step_size=3),
            checkpoint=file,
            generators={"shuffle": shuffle},
        )
        return prepared

    run(1, tmp_path / "half", 3)
    resumed, whole = run(3, tmp_path / "half", 4), run(3, tmp_path / "whole", 3)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert any(not torch.equal(run(3, tmp_path / "other", 4).state_dict()[n], t) for n, t in whole.state_dict().items())


def test_modes_and_frozen_parameters_stay() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).eval()
    model[0].bias.requires_grad_(False)
    before = model[0].bias.clone(), model[0].weight.clone()
    seen: list[bool] = []
    batch = (torch.ones(2, 4), torch.tensor([0, 1]))
    qat.train(model, [batch], on_step=lambda *_: seen.append(model[1].training))
    assert seen == [True] and not model.training and not model[1].training
    assert torch.equal(model[0].bias, before[0]) and not torch.equal(model[0].weight, before[1])


def test_errors_say_the_step() -> None:
    with pytest.raises(TypeError, match="step 2 of a recipe must be a function of a model, not 'train'"):
        qat.Recipe(qat.train, "train")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"step 1 \(list\) of the recipe must give a model or None, not list"):
        qat.Recipe(list)(nn.Sequential(nn.ReLU()))
    recipe = qat.Recipe(partial(qat.prune_weights, share=0.5), partial(partial(qat.factorize), rank=0))
    with pytest.raises(ValueError, match="rank must be an integer from 1 to") as caught:
        recipe(nn.Linear(2, 2))
    assert caught.value.__notes__ == ["in step 2 (factorize) of the recipe"]
    model = nn.Linear(2, 2)
    assert qat.Recipe()(model) is not model
