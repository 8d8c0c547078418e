"""ONNX Runtime on exported networks: every code that differs is a tie that float32 rounded the other way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper

import qat
from codesign.validate import TIE, validate
from tests.qat.networks import images, normalized
from tests.qat.networks.resnet import resnet18
from tests.qat.test_networks import NETWORKS, tensors


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_differences_are_ties(name: str, bits: int, tmp_path: Path, record_property: Callable[..., None]) -> None:
    torch.manual_seed(0)
    make, inputs = NETWORKS[name]
    x = tuple(tensor[:16] for tensor in inputs)
    prepared = qat.prepare(normalized(make(), *x), x, settings={"*": {"weight_bits": bits}})
    file = tmp_path / "model.onnx"
    qat.export_onnx(prepared, file)
    # As it is loaded by default, with all of ONNX Runtime's fusions.
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    given = qat.host_inputs(prepared, *x)
    results = session.run(list(prepared.quantizers.results.layers), given)
    assert [y.shape for y in results] == [tuple(y.shape) for y in tensors(prepared.eval()(*x))]
    validation = validate(file, given)
    assert validation.reference is validation.layers, "the default arithmetic is ONNX Runtime's own"
    assert {layer.name for layer in validation.layers} >= set(qat.codes(prepared, *x))
    compared = sum(layer.compared for layer in validation.layers)
    differing = sum(layer.differing for layer in validation.layers)
    record_property("codes", f"{differing} of {compared} differ")
    for layer in validation.layers:
        assert layer.bias_error == 0 and layer.largest <= 1
        assert not layer.differing or (layer.tie_distance is not None and layer.tie_distance <= TIE), layer
    assert differing <= 2 + compared / 10_000


def floats(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """The float model: constants as float32 in the place of their codes, no rounding between layers.

    A tensor whose codes begin at its zero point was quantized behind a ReLU, which the rounding alone carries out.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in quantized.graph.initializer}
    renamed: dict[str, str] = {}
    kept, initializers = [], []
    for node in quantized.graph.node:
        inputs = [renamed.get(name, name) for name in node.input]
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            codes, scale = (constants[name].astype(np.float32) for name in node.input[:2])
            values = codes * scale.reshape(-1, *[1] * (codes.ndim - 1))
            initializers.append(numpy_helper.from_array(values, node.output[0]))
        elif node.op_type == "QuantizeLinear" and constants[node.input[2]] == -128:
            kept.append(helper.make_node("Relu", inputs[:1], node.output))
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            renamed[node.output[0]] = inputs[0]
        else:
            node.input[:] = inputs
            kept.append(node)
    kept.append(helper.make_node("Identity", [renamed["output"]], ["output"]))
    graph = helper.make_graph(kept, "float", quantized.graph.input, quantized.graph.output, initializers)
    model = helper.make_model(graph, ir_version=quantized.ir_version, opset_imports=quantized.opset_import)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_the_size_of_resnet18(tmp_path: Path, record_property: Callable[..., None]) -> None:
    torch.manual_seed(0)
    x = images(4, shape=(3, 32, 32))
    model = normalized(resnet18(), x)
    prepared = qat.prepare(model, x)
    qat.export_onnx(prepared, tmp_path / "int8.onnx")
    full = floats(onnx.load(tmp_path / "int8.onnx"))
    onnx.save(full, tmp_path / "float.onnx")
    ratio = (tmp_path / "int8.onnx").stat().st_size / (tmp_path / "float.onnx").stat().st_size
    record_property("ratio", ratio)
    # The float file has the parameters of the folded network, 4 bytes each, and computes what the torch model does.
    parameters = sum(p.numel() for n, p in model.named_parameters() if p.ndim > 1)
    assert 4 * parameters < (tmp_path / "float.onnx").stat().st_size < 4.02 * parameters
    session = onnxruntime.InferenceSession(tmp_path / "float.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["output"], {"input": x.numpy()})
    with torch.no_grad():
        expected = model(x).numpy()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    assert ratio <= 0.26
