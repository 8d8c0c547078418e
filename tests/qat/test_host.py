"""Several inputs, and what the host computes in front of the quantized layers; frozen statistics."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import qat
from emulator import run_graph
from tests.qat.networks import Mixed, assert_equal_codes, assert_one_value, exported, images, randomized
from tests.qat.networks.recommender import Recommender
from tests.qat.networks.sequences import UnrolledLSTM, WrittenLSTM


class Two(nn.Module):
    """Two float inputs, one of them called as the file's result."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        return torch.relu(self.left(x) - self.right(output))


class Table(nn.Module):
    """Categories with offsets into one embedding, as a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.tensor([0, 5, 9]))
        self.embedding = nn.Embedding(12, 4)
        self.head = nn.Linear(12, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embedding(ids + self.offsets).flatten(1))


def rows(count: int, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(count, 6, generator=generator)
    ids = [torch.randint(most, size, generator=generator) for most, size in ((20, (count,)), (30, (count,)))]
    return numbers, *ids, torch.randint(30, (count, 4), generator=generator)


def test_inputs_bear_the_names_of_the_arguments(tmp_path: Path) -> None:
    inputs = images(5), images(5, 1, (2, 7, 6))
    prepared = qat.prepare(randomized(Two()), inputs)
    assert_equal_codes(prepared, *inputs, tmp_path)
    assert_one_value(prepared, *inputs)
    graph = exported(prepared, tmp_path)
    assert [tensor.name for tensor in graph.inputs] == ["x", "output_1"]
    found = run_graph(graph, {"x": inputs[0].numpy(), "output_1": inputs[1].numpy()})["output"]
    np.testing.assert_array_equal(found, qat.codes(prepared, *inputs)["sub"])


def test_embeddings_are_looked_up_on_the_host(tmp_path: Path) -> None:
    prepared = qat.prepare(Recommender().eval(), rows(1))
    qat.calibrate(prepared, [(*rows(16), torch.zeros(16)), (rows(16, 1), torch.zeros(16))])
    inputs = rows(6, 2)
    found = qat.host_inputs(prepared, *inputs)
    assert {name: array.shape for name, array in found.items()} == {
        "numbers": (6, 6), "user": (6, 8), "item": (6, 4, 8), "item_1": (6, 8),
    }  # fmt: skip
    np.testing.assert_array_equal(found["item"], prepared.item.weight.detach()[inputs[3]].numpy())
    model = onnx.load(export(prepared, tmp_path))
    assert [value.name for value in model.graph.input] == list(found)
    assert not any(tensor.dims == prepared.item.weight.shape for tensor in model.graph.initializer)


def export(model: qat.PreparedModel, folder: Path) -> Path:
    qat.export_onnx(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_embeddings_are_trained() -> None:
    inputs = rows(32)
    prepared = qat.prepare(Recommender(), inputs).train()
    prepared(*inputs).sum().backward()
    gradient = prepared.get_parameter("user.weight").grad
    assert gradient is not None
    moved, looked_up = set(gradient.abs().sum(1).nonzero()[:, 0].tolist()), set(inputs[1].tolist())
    assert moved <= looked_up and len(moved) > len(looked_up) / 2


def test_the_host_computes_with_integers_and_regroups(tmp_path: Path) -> None:
    ids = torch.randint(3, (8, 3), generator=torch.Generator().manual_seed(0))
    prepared = qat.prepare(Table().eval(), ids)
    assert_equal_codes(prepared, ids, tmp_path)
    assert_one_value(prepared, ids)
    (found,) = qat.host_inputs(prepared, ids).values()
    assert found.shape == (8, 12)
    np.testing.assert_array_equal(found.reshape(8, 3, 4)[:, 1], prepared.embedding.weight.detach()[ids[:, 1] + 5])


def test_a_recurrence_starts_on_the_host() -> None:
    x = images(4, shape=(2, 5))
    found = qat.host_inputs(qat.prepare(UnrolledLSTM(), x), x)
    assert set(found) == {"input", "zeros"}
    np.testing.assert_array_equal(found["zeros"], np.zeros((4, 9), np.float32))
    prepared = qat.prepare(WrittenLSTM(), x)
    start = prepared.get_parameter("start")
    np.testing.assert_array_equal(qat.host_inputs(prepared, x)["expand"], start.detach().expand(4, -1))
    prepared.train()(x).sum().backward()
    assert start.grad is not None and (start.grad != 0).all()


def test_one_input_is_called_input() -> None:
    x = images(2)
    found = qat.host_inputs(qat.prepare(Mixed(), x), x)
    assert list(found) == ["input"]
    np.testing.assert_array_equal(found["input"], x)


def test_a_copy_computes_the_same() -> None:
    inputs = rows(8)
    prepared = qat.prepare(Recommender().eval(), inputs)
    twin = copy.deepcopy(prepared)
    assert torch.equal(twin(*inputs), prepared(*inputs))
    with torch.no_grad():
        twin.user.weight.zero_()
    assert not torch.equal(twin(*inputs), prepared(*inputs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:3], r"inputs must be 4 \(numbers, user, item, history\), not 3"),
        (lambda x: (x[1], *x[1:]), r"numbers must be a float tensor, not torch\.int64"),
        (lambda x: (x[0], x[0], *x[2:]), r"user must be an integer tensor, not torch\.float32"),
        (lambda x: (*x[:3], x[3][:, :2]), r"history must have shape \(batch, 4\), not \(8, 2\)"),
        (lambda x: (x[0][:2], *x[1:]), r"inputs must have one batch size, not \[2, 8, 8, 8\]"),
        (lambda x: (x[0] / 0, *x[1:3], x[3]), None),
        (lambda x: (x[0] * torch.nan, *x[1:]), "numbers must not contain NaN"),
    ],
)
def test_bad_inputs(change: object, message: str | None) -> None:
    inputs = rows(8)
    prepared = qat.prepare(Recommender().eval(), inputs)
    changed = change(inputs)  # type: ignore[operator]
    if message is None:
        assert prepared(*changed).isfinite().all()
        return
    with pytest.raises((TypeError, ValueError), match=message):
        prepared(*changed)


def test_integers_need_an_embedding() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + 1)

    with pytest.raises(ValueError, match="its input must be a float tensor, not one of integers"):
        qat.prepare(Model(), torch.ones(2, 3, dtype=torch.int64))


def test_statistics_freeze_on_schedule() -> None:
    prepared = qat.prepare(randomized(Mixed()), images(8)).train()
    statistics = prepared.get_buffer("features.1.running_mean")

    def moves() -> bool:
        before = statistics.clone()
        prepared(images(8))
        return not torch.equal(statistics, before)

    assert moves()
    qat.freeze_statistics(prepared, after=2)
    state = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    assert [moves() for _ in range(4)] == [True, True, False, False]
    prepared.load_state_dict(state)
    prepared.eval()
    assert not moves()  # which is no training step
    prepared.train()
    assert [moves() for _ in range(3)] == [True, True, False]
    qat.freeze_statistics(prepared, after=None)
    assert moves()
    qat.freeze_statistics(prepared)
    assert not moves()
    with pytest.raises(ValueError, match="after must be a number of training steps or None, not -1"):
        qat.freeze_statistics(prepared, after=-1)
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Mixed"):
        qat.freeze_statistics(Mixed())  # type: ignore[arg-type]


def test_it_goes_through_torch_save(tmp_path: Path) -> None:
    arguments = rows(8)
    prepared = qat.prepare(Recommender(), arguments)
    torch.save(prepared, tmp_path / "model.pt")
    other = torch.load(tmp_path / "model.pt", weights_only=False)
    for name, codes in qat.codes(prepared, *arguments).items():
        np.testing.assert_array_equal(qat.codes(other, *arguments)[name], codes, err_msg=name)
    torch.manual_seed(0)
    expected = prepared.train()(*arguments)
    torch.manual_seed(0)
    assert torch.equal(other.train()(*arguments), expected)
