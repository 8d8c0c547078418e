"""ResNet-50 and MobileNetV2 as they are deployed: 3×224×224 images, full width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qat
from compiler import load_onnx
from emulator import run_graph
from tests.qat.networks import images, normalized
from tests.qat.networks.mobilenet import MobileNetV2
from tests.qat.networks.resnet import resnet50


@pytest.mark.parametrize(("make", "count"), [(resnet50, 73), (MobileNetV2, 65)])
def test_all_codes_are_the_emulators(make: Callable[[], nn.Module], count: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = images(2, shape=(3, 224, 224))
    prepared = qat.prepare(normalized(make(), x), x[:1])
    qat.calibrate(prepared, [x])
    found = qat.codes(prepared, x[:1])
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    expected = run_graph(load_onnx(tmp_path / "model.onnx"), qat.host_inputs(prepared, x[:1]), every=True)
    assert set(found) == set(expected) and len(found) == count
    for name, codes in found.items():
        np.testing.assert_array_equal(codes, expected[name], err_msg=name)
    used = [int(codes.max()) - int(codes.min()) for codes in found.values()]
    assert np.median(used) > 200, "the codes must use their range"
