"""The exported file: what it says, that ONNX Runtime runs it, and that no half of it is ever seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import qat
from compiler import load_onnx
from emulator import Arithmetic, Convolution, Linear, certify, run_graph_counts
from emulator.arithmetic import OVERFLOWS
from tests.qat.networks import Mixed, Pooled, assert_equal_codes, images, randomized


def runtime(file: Path, x: torch.Tensor) -> np.ndarray:
    """ONNX Runtime's result without its optimizer, which fuses roundings away."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["output"], {"input": x.numpy()})[0]
    return result


@pytest.mark.parametrize("network", [Mixed, Pooled])
@pytest.mark.parametrize("bits", [8, 4])
def test_onnx_runtime_runs_it(network: type[nn.Module], bits: int, tmp_path: Path) -> None:
    x = images(40)
    arithmetic = Arithmetic(activation_bits=bits, weight_bits=bits)
    prepared = qat.prepare(randomized(network()), x, arithmetic).eval()
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    found, expected = runtime(tmp_path / "model.onnx", x), prepared(x).detach()
    scale = prepared.quantizers.layers["head"].output.scale.value.numpy()
    # ONNX Runtime sums in floats, so a code near a tie may go the other way, and what reads it moves a little.
    distance = np.rint(np.abs(found - expected.numpy()) / scale)
    assert distance.max() <= 2 and (distance != 0).mean() < 0.02
    assert runtime(tmp_path / "model.onnx", x[:1]).shape == expected[:1].shape


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(("bits", "width"), [(8, 32), (8, 14), (4, 11)])
def test_weights_with_zero_points(bits: int, width: int, overflow: str, tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=width, weight_bits=bits, overflow=overflow, multiplier_bits=15)
    settings = {"*": {"symmetric_weights": False}, "mix": {"per_channel": False}, "head": {"symmetric_weights": True}}
    x = images(16, 3)
    prepared = qat.prepare(randomized(Mixed()), x, arithmetic, settings=settings).train()
    prepared(x).square().mean().backward()
    torch.optim.SGD(prepared.parameters(), lr=1e-3).step()
    assert_equal_codes(prepared, x, tmp_path)
    graph = load_onnx(tmp_path / "model.onnx")
    zeros = {node.name: node.weight_zero_point for node in graph.nodes if isinstance(node, (Convolution, Linear))}
    assert zeros.pop("head") is None and all(zero is not None and zero.any() for zero in zeros.values())
    assert len(set(zeros["mix"].tolist())) == 1 and len(set(zeros["features.0"].tolist())) > 1
    counts = run_graph_counts(graph, {"input": x.numpy()})[1]
    overflows = qat.overflow_counts(prepared, x)
    for name, expected in overflows.items():
        np.testing.assert_array_equal(counts[name].overflows, expected)
    assert any(found.any() for found in overflows.values()) == (width < 32)
    if width < 32:
        qat.guarantee(prepared)  # takes symmetric weights
        assert_equal_codes(prepared, x, tmp_path)
        assert all(certificate.safe for certificate in certify(load_onnx(tmp_path / "model.onnx")).values())


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=14, rounding="floor", weight_bits=3)
    prepared = qat.prepare(randomized(Mixed()), images(2), arithmetic)
    qat.export_onnx(prepared, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    entries = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert set(entries) == {f"lockstep.{name}" for name in ("arithmetic", "settings", "layers", "tables")}
    assert entries["lockstep.arithmetic"] == arithmetic.as_dict()
    assert model.opset_import[0].version == 21 and len(model.opset_import) == 1
    assert [v.name for v in model.graph.input] == ["input"] and [v.name for v in model.graph.output] == ["output"]
    shapes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 3, 7, 6], ["batch", 5]]
    compute = {n.name: n.op_type for n in model.graph.node if n.op_type in ("Conv", "Gemm", "MaxPool", "AveragePool")}
    assert compute == {
        "features.0": "Conv", "features.2": "MaxPool", "features.4": "Conv", "features.7": "AveragePool",
        "mix": "Conv", "hidden": "Gemm", "head": "Gemm",
    }  # fmt: skip
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    codes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert np.abs(codes["mix/weight/codes"].astype(np.int8)).max() == 3
    assert codes["mix/bias/codes"].dtype == np.int32 and np.abs(codes["mix/bias/codes"]).max() < 1 << 13
    assert codes["mix/weight/scale"].shape == (12,)


def test_exporting_changes_nothing(tmp_path: Path) -> None:
    prepared = qat.prepare(randomized(Mixed()), images(2)).train()
    prepared.features[1].eval()
    before = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    qat.export_onnx(prepared, tmp_path / "a.onnx")
    qat.export_onnx(prepared, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert prepared.training and not prepared.features[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in prepared.state_dict().items())


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = qat.prepare(nn.Conv2d(3, 4, 3), images(2))
    file = tmp_path / "model.onnx"
    file.write_bytes(b"old")
    with pytest.raises(OSError):
        qat.export_onnx(prepared, tmp_path / "nowhere" / "model.onnx")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(data[:10])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        qat.export_onnx(prepared, file)
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]


def test_what_does_not_fit_onnx_is_named(tmp_path: Path) -> None:
    prepared = qat.prepare(nn.Sequential(nn.Conv2d(3, 4, 3)), images(2))
    prepared.quantizers.input.scale.set(torch.tensor(1e-30))
    prepared.quantizers.layers["0"].weight.scale.set(torch.full((4,), 1e-30))
    with pytest.raises(ValueError, match="layer '0': input scale times weight scale must be a positive finite float32"):
        qat.export_onnx(prepared, tmp_path / "model.onnx")
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Conv2d"):
        qat.export_onnx(nn.Conv2d(3, 4, 3), tmp_path / "model.onnx")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
