"""Networks in their usual source code: torch's codes are the emulator's, in train() as in eval(), for any batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import qat
from emulator import Arithmetic
from tests.qat.networks import assert_equal_codes, assert_one_value, float_result, images, normalized
from tests.qat.networks.detector import Detector
from tests.qat.networks.mlperf_tiny import DSCNN, Autoencoder, MobileNetV1, ResNet8
from tests.qat.networks.mobilenet import MobileNetV2
from tests.qat.networks.recommender import Recommender
from tests.qat.networks.resnet import resnet18, resnet50
from tests.qat.networks.sequences import TCN, Forecaster, Tagger, UnrolledGRU, UnrolledLSTM, WrittenLSTM
from tests.qat.networks.shufflenet import ShuffleNetV2, SuperResolution

NARROW = Arithmetic(accumulator_bits=14, weight_bits=6, activation_bits=7, rounding="half_up", multiplier_bits=12)
COUNT = 64


def table(count: int) -> tuple[Tensor, ...]:
    """A recommender's rows."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(count, 6, generator=generator)
    sizes = ((20, ()), (30, ()), (30, (4,)))
    return numbers, *(torch.randint(most, (count, *shape), generator=generator) for most, shape in sizes)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "ResNet-18, narrow": (lambda: resnet18(8), (images(COUNT, shape=(3, 16, 16)),)),
    "ResNet-50, narrow": (lambda: resnet50(4), (images(COUNT, shape=(3, 16, 16)),)),
    "MobileNetV2": (lambda: MobileNetV2(0.25), (images(COUNT, shape=(3, 32, 32)),)),
    "ResNet-8": (ResNet8, (images(COUNT, shape=(3, 8, 8)),)),
    "DS-CNN": (DSCNN, (images(COUNT, shape=(1, 49, 10)),)),
    "MobileNetV1-0.25": (MobileNetV1, (images(COUNT, shape=(3, 32, 32)),)),
    "autoencoder": (Autoencoder, (images(COUNT, shape=(640,)),)),
    "TCN": (TCN, (images(COUNT, shape=(2, 20)),)),
    "recommender": (Recommender, table(COUNT)),
    "ShuffleNetV2": (
        lambda: ShuffleNetV2((2, 2, 1), (8, 16, 24, 32, 48)),
        (images(COUNT, shape=(3, 32, 32)),),
    ),
    "super-resolution": (SuperResolution, (images(COUNT, shape=(1, 8, 6)),)),
    "detector": (Detector, (images(COUNT, shape=(3, 16, 12)),)),
    "LSTM cell": (UnrolledLSTM, (images(COUNT, shape=(3, 5)),)),
    "GRU cell": (UnrolledGRU, (images(COUNT, shape=(3, 5)),)),
    "LSTM": (Tagger, (images(COUNT, shape=(3, 5)),)),
    "GRU and RNN": (Forecaster, (images(COUNT, shape=(5, 3)),)),
    "LSTM written out": (WrittenLSTM, (images(COUNT, shape=(3, 5)),)),
}


def tensors(results: Any) -> list[Tensor]:
    """All tensors in tuples, lists and dictionaries."""
    if isinstance(results, Tensor):
        return [results]
    parts = results.values() if isinstance(results, dict) else results
    return [tensor for part in parts for tensor in tensors(part)]


RUNS = [(name, arithmetic) for name in NETWORKS for arithmetic in ("default", "narrow")]
RUNS += [
    (name, "TFLM") for name in ("MobileNetV2", "ResNet-8", "DS-CNN", "TCN", "detector", "LSTM cell", "GRU and RNN")
]


@pytest.mark.parametrize(("name", "kind"), RUNS)
def test_codes_are_the_emulators(name: str, kind: str, tmp_path: Path) -> None:
    arithmetic = {"default": Arithmetic(), "narrow": NARROW, "TFLM": Arithmetic.tflm()}[kind]
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    model = normalized(make(), *inputs)
    prepared = qat.prepare(model, tuple(x[:1] for x in inputs), arithmetic)
    qat.calibrate(prepared, [inputs])
    state = model.state_dict()
    assert {n for n in prepared.state_dict() if not n.startswith("quantizers.")} == set(state)
    few = tuple(x[:4] for x in inputs)
    found = assert_equal_codes(prepared, *few, tmp_path)
    used = [int(codes.max()) - int(codes.min()) for codes in found.values()]
    assert np.median(used) > (1 << arithmetic.activation_bits) // 4, "the codes must use their range"
    assert_one_value(prepared, *inputs)
    with torch.no_grad():
        torch.testing.assert_close(float_result(prepared, *few), model(*few), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["ResNet-8", "ShuffleNetV2", "TCN", "recommender", "detector", "LSTM cell", "LSTM"])
def test_codes_stay_equal_behind_training_steps(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    prepared = qat.prepare(normalized(make(), *inputs), inputs, NARROW).train()
    before = {name: parameter.clone() for name, parameter in prepared.named_parameters()}
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        sum(y.square().mean() for y in tensors(prepared(*inputs))).backward()
        optimizer.step()
    for parameter_name, parameter in prepared.named_parameters():
        moved = parameter.grad is not None and not torch.equal(before[parameter_name], parameter)
        # The first state is zeros, and the first forget gate keeps it, so their scales have no gradient.
        still = ("quantizers.layers.cell/", "quantizers.layers.lstm/", "quantizers.inputs.lstm/")
        assert moved or parameter_name.startswith(still), parameter_name
    assert_equal_codes(prepared, *(x[:4] for x in inputs), tmp_path)


def test_codes_stay_equal_behind_training_steps_in_tflm_s_arithmetic(tmp_path: Path) -> None:
    x = images(8, shape=(3, 8, 8))
    prepared = qat.prepare(normalized(ResNet8(), x), x, Arithmetic.tflm()).train()
    optimizer = torch.optim.Adam(prepared.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        prepared(x).square().mean().backward()
        optimizer.step()
    assert_equal_codes(prepared, x[:4], tmp_path)


def test_full_resnet18(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = images(4, shape=(3, 32, 32))
    prepared = qat.prepare(normalized(resnet18(), x), x)
    found = assert_equal_codes(prepared, x[:1], tmp_path)
    assert len(found) == 32


def test_a_cell_has_one_set_of_weights(tmp_path: Path) -> None:
    x = images(4, shape=(3, 5))
    prepared = qat.prepare(UnrolledLSTM().eval(), x)
    layers = prepared.quantizers.layers
    steps = [layers[key] for key in ("cell/ih", "cell/ih_1", "cell/ih_2")]
    assert len({id(layer.weight) for layer in steps}) == 1
    assert len({id(layer.output) for layer in steps}) == 3
    assert layers["cell/hh"].weight is not steps[0].weight
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    names = [node.input[1] for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Gemm"]
    assert sorted(set(names)) == ["cell.hh/weight", "cell.ih/weight", "head/weight"] and len(names) == 7
