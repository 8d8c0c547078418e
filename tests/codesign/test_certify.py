"""``lockstep certify``: table and JSON are the certificate, and the exit status says whether sums can overflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import FAILS, HOLDS, main
from codesign.commands.certify import attains
from compiler import load_onnx
from emulator import Arithmetic, Convolution, Graph, Linear, Tensor, certify
from tests.codesign.command import fails, runs
from tests.codesign.models import small_model
from tests.compiler.models import Model
from tests.product_graphs import product_graph


def test_json_is_the_certificate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = small_model(tmp_path)
    result = runs(capsys, ["certify", model])
    certificates = certify(load_onnx(model))
    assert result["layers"] == [c.as_dict() | {"attained": True} for c in certificates.values()]
    assert [*certificates] == ["conv", "fc"]
    assert result["safe"] is True and result["accumulator_bits"] == 32
    assert result["smallest_bits"] == max(c.smallest_bits for c in certificates.values())


@pytest.mark.parametrize(("spare", "status"), [(0, HOLDS), (-1, FAILS)])
def test_the_exit_status_turns_at_the_smallest_width(
    spare: int, status: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bits = max(c.smallest_bits for c in certify(load_onnx(small_model(tmp_path))).values()) + spare
    model = small_model(tmp_path, accumulator_bits=bits)
    assert main(["certify", str(model)]) == status
    out = capsys.readouterr().out
    assert f"the accumulator of {bits} bits; the smallest that never overflows has {bits - spare}" in out
    assert ("no input overflows" in out) == (status == HOLDS)


def test_a_certificate_that_is_not_attained_is_seen(tmp_path: Path) -> None:
    graph = load_onnx(small_model(tmp_path))
    for certificate in certify(graph).values():
        assert attains(graph, certificate)
        for side, step in (("high", 1), ("low", -1)):
            assert not attains(graph, replace(certificate, **{side: getattr(certificate, side) + step}))


def test_certificates_of_products_are_attained() -> None:
    for seed in range(6):
        graph = product_graph(seed, Arithmetic(activation_bits=5 + seed % 3))
        (certificate,) = certify(graph).values()
        assert attains(graph, certificate)
        for side, step in (("high", 1), ("low", -1)):
            assert not attains(graph, replace(certificate, **{side: getattr(certificate, side) + step}))


def test_an_extreme_before_the_last_step_is_attained() -> None:
    source = Tensor(name="x", shape=(2,), scale=1.0, zero_point=0, y_min=1, y_max=3)
    node = Linear(
        name="layer", inputs=("x",), shape=(1,), scale=1.0, zero_point=0, weight=np.array([[1], [-1]], np.int8),
        bias=np.zeros(1, np.int64), multiplier=np.ones(1, np.int64), shift=np.zeros(1, np.int64),
    )  # fmt: skip
    graph = Graph(inputs=(source,), nodes=(node,), outputs={"y": "layer"}, arithmetic=Arithmetic())
    assert attains(graph, certify(graph)["layer"])


@pytest.mark.parametrize("shape", [(7, 3), (1, 7, 3)])
def test_sequences_and_maps(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    source = Tensor(name="x", shape=shape, scale=1.0, zero_point=-3)
    node = Convolution(
        name="layer", inputs=("x",), shape=(*shape[:-1], 2), scale=1.0, zero_point=0, padding=(0, 1, 0, 1),
        weight=rng.integers(-128, 128, (2, 1, 3, 3)).astype(np.int8), bias=np.array([5, -7]),
        multiplier=np.ones(2, np.int64), shift=np.zeros(2, np.int64),
    )  # fmt: skip
    graph = Graph(inputs=(source,), nodes=(node,), outputs={"y": "layer"}, arithmetic=Arithmetic())
    certificate = certify(graph)["layer"]
    assert attains(graph, certificate)
    assert not attains(graph, replace(certificate, high=certificate.high + 1))


def test_what_is_no_model_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fails(capsys, ["certify", tmp_path / "absent.onnx"], "absent.onnx")


def test_weights_with_a_zero_point(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The bounds are of w − zw, and inputs attain them; without the zero point they would be others."""
    model = Model()
    rng = np.random.default_rng(3)
    x = model.qdq(model.input((2, 4, 4)), 0.02, 3)
    y = model.node("Conv", [x, model.weight(rng.integers(0, 256, (3, 2, 3, 3)), 0.01, kind="uint8", zero=200)], "conv")
    y = model.node("Flatten", [model.qdq(y, 0.05)])
    y = model.node(
        "Gemm", [y, model.weight(rng.integers(0, 256, (5, 12)), 0.01, kind="uint8", zero=90)], "fc", transB=1
    )
    model.output(model.qdq(y, 0.1))
    file = model.save(tmp_path)
    graph = load_onnx(file)
    assert all(node.weight_zero_point is not None for node in graph.nodes if isinstance(node, Convolution | Linear))
    result = runs(capsys, ["certify", file])
    assert len(result["layers"]) == 2 and all(layer["attained"] for layer in result["layers"])
    nodes = [replace(n, weight_zero_point=None) if isinstance(n, Convolution | Linear) else n for n in graph.nodes]
    others = certify(replace(graph, nodes=tuple(nodes)))
    assert result["layers"] != [certificate.as_dict() | {"attained": True} for certificate in others.values()]
