"""Small float networks with statistics and biases that are not zero, and the emulator's answer to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import load_onnx
from emulator import Graph, run_graph


class Mixed(nn.Module):
    """Everything at once: groups, dilation, asymmetric padding, all pools, ReLU6, clamps, functions, a wide Flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding="same", bias=False),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.ReLU6(),
            nn.Conv2d(8, 8, (2, 3), stride=(1, 2), padding=(1, 2), dilation=(2, 1), groups=4),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.AvgPool2d((2, 1), stride=1, padding=(1, 0), count_include_pad=False),
        )
        self.mix = nn.Conv2d(8, 12, 2, padding="same")
        self.hidden = nn.Linear(12 * 5 * 3, 7)
        self.norm = nn.BatchNorm1d(7)
        self.head = nn.Linear(7, 5)
        self.drop = nn.Dropout(0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = torch.clamp(self.mix(x), -0.5, 0.75)
        x = self.drop(x).view(x.size(0), -1)
        return self.head(F.relu(self.norm(self.hidden(x))))


class Pooled(nn.Module):
    """Global pools and a head on their result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.second = nn.Conv2d(6, 10, 1, bias=False)
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(self.first(x)), 2, padding=1)
        x = F.relu(self.second(x)).mean((2, 3))
        return self.head(F.dropout(x, 0.5, self.training))


class Written(nn.Module):
    """A model whose forward is the given function of (self, x), with layers to use."""

    def __init__(self, function: Callable[[Written, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.other = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4 * 7 * 6, 5)
        self.wide = nn.Linear(3 * 7 * 6, 5)
        self.rows = nn.Linear(6, 5)
        self.one = nn.Conv2d(168, 5, 1)
        self.single = nn.Conv2d(3, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


SHAPE = (3, 7, 6)


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """`model` in eval mode with random statistics, affine parameters and biases."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.3, 1.5),
                (module.weight, 0.5, 2.0),
                (module.bias, -0.5, 0.5),
            ):
                if tensor is not None:
                    tensor.data.uniform_(low, high, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            for parameter in module.parameters():
                parameter.data.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Normal float images (count, …)."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def exported(model: qat.PreparedModel, folder: Path) -> Graph:
    """The integer graph of `model` by the way of its file."""
    file = folder / "model.onnx"
    qat.export_onnx(model, file)
    return load_onnx(file)


def normalized(model: nn.Module, *inputs: Tensor) -> nn.Module:
    """`model` in eval mode with the statistics of `inputs` in its BatchNorms, so that no layer's values vanish."""
    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(*inputs)
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def assert_equal_codes(model: qat.PreparedModel, *inputs: Tensor | Path) -> dict[str, np.ndarray]:
    """torch's codes are the emulator's in every layer; returns them.

    inputs : the model's, then the folder for its file
    """
    *tensors, folder = inputs
    graph = exported(model, folder)
    expected = run_graph(graph, qat.host_inputs(model, *tensors), every=True)
    found = qat.codes(model, *tensors)
    for name, codes in found.items():
        assert codes.dtype == np.int8
        np.testing.assert_array_equal(codes, expected[name], err_msg=name)
    # What the graph has beyond that are steps of a layer: LAYER/…
    assert all(any(name.startswith(f"{layer}/") for layer in found) for name in set(expected) - set(found))
    results = model.quantizers.results.layers
    shown = run_graph(graph, qat.host_inputs(model, *tensors))
    assert list(shown) == list(results)
    for name, layer in results.items():
        if layer in found and found[layer].ndim > 2:
            np.testing.assert_array_equal(shown[name], found[layer])
    return found


def float_result(model: qat.PreparedModel, *inputs: Tensor) -> Any:
    """What the layers of `model` compute in floats, as the model returns it."""
    values = {name: torch.from_numpy(array) for name, array in qat.host_inputs(model, *inputs).items()}
    with torch.no_grad():
        for layer in model.quantizers:
            values[layer.name] = layer.real([values[source] for source in layer.sources], model)
    return model.quantizers.results(values)


def leading(results: Any, count: int) -> Any:
    """The first samples of a tensor, or of those in tuples, lists and dictionaries."""
    if isinstance(results, Tensor):
        return results[:count]
    if isinstance(results, dict):
        return {key: leading(part, count) for key, part in results.items()}
    return type(results)(leading(part, count) for part in results)


def assert_one_value(model: qat.PreparedModel, *inputs: Tensor) -> None:
    """train() without dropout gives what eval() gives, and one sample what it gives among others."""
    with torch.no_grad():
        expected = model.eval()(*inputs)
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.train()
        for module in model.modules():
            if "Dropout" in type(module).__name__ or isinstance(module, nn.RNNBase):
                module.eval()
        torch.testing.assert_close(model(*inputs), expected, rtol=0, atol=0)
        model.eval().load_state_dict(state)
        torch.testing.assert_close(model(*inputs), expected, rtol=0, atol=0)
        for count in (1, 3):
            torch.testing.assert_close(model(*(x[:count] for x in inputs)), leading(expected, count), rtol=0, atol=0)


def layers(model: qat.PreparedModel) -> list[str]:
    return [layer.name for layer in model.quantizers]
