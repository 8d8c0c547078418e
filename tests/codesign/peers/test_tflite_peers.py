"""TFLM and LiteRT on the same file: whole, cut, and in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from codesign.peers.process import run_peer
from codesign.peers.tflite_agreement import against_litert, against_tflm, operator_codes
from codesign.peers.tflite_names import read_names
from codesign.peers.tflite_slices import one_operator, with_outputs
from compiler.tflite.writer import FileOperator, FileTensor, tflite_file
from tests.compiler.tflite.whole import classifier, mixture

pytest.importorskip("tflite_micro", reason="the package tflite-micro is not installed (extra tflm)")
pytest.importorskip("ai_edge_litert", reason="the package ai-edge-litert is not installed (extra litert)")


def test_every_tensor_of_all_resolvers(tmp_path: Path) -> None:
    """Convolution, matrix product and softmax are the same in TFLM and in LiteRT's reference resolver."""
    net = classifier()
    path, codes = net.save(tmp_path), net.codes()
    tflm = run_peer("tflm", path, codes, every=True)
    assert set(tflm) == {"y0", "y1", "y2"}
    reference = run_peer("litert-reference", path, codes, every=True)
    assert_array_equal(reference["y0"], tflm["y0"])
    for peer in ("litert", "litert-builtin"):
        found = run_peer(peer, path, codes, every=True)
        assert_array_equal(found["y2"], run_peer(peer, path, codes)["y2"])
        assert max(np.abs(found["y0"].astype(int) - tflm["y0"]).max(), 0) <= 1


def test_cuts() -> None:
    net = mixture()
    data = net.file()
    names = read_names(data)
    assert operator_codes(data)[:3] == ["DEPTHWISE_CONV_2D", "HARD_SWISH", "ADD"]
    shown = read_names(with_outputs(data, names.made[:2]))
    assert [shown.tensors[i] for i in shown.outputs] == ["y0", "y1"]
    for index, operator in enumerate(net.operators):
        cut = read_names(one_operator(data, index))
        constants = {tensor.name for tensor in net.tensors if tensor.data is not None}
        assert [cut.tensors[i] for i in cut.inputs] == list(
            dict.fromkeys(name for name in operator.inputs if name not in constants)
        )
        assert [cut.tensors[i] for i in cut.outputs] == list(operator.outputs)
        assert cut.made == cut.outputs


def test_agreement(tmp_path: Path) -> None:
    path = classifier().save(tmp_path)
    found = against_tflm(path, count=3)
    assert (found["outputs"].compared, found["outputs"].differing) == (6 * 8, 0)
    assert (found["tensors"].compared, found["tensors"].differing) == ((80 + 6) * 8, 0)
    layers = against_litert(path, count=3)
    assert set(layers) == {"CONV_2D", "FULLY_CONNECTED", "SOFTMAX"}
    assert all(agreement.differing <= 1 for agreement in layers.values())


def test_what_peers_refuse_is_a_sentence(tmp_path: Path) -> None:
    """An input of a wrong name, an unknown peer, an operator that the peer has not."""
    net = classifier()
    path, codes = net.save(tmp_path), net.codes()
    with pytest.raises(ValueError, match="inputs must be 'x0', not 'x'"):
        run_peer("tflm", path, {"x": codes["x0"]})
    with pytest.raises(ValueError, match="peer must be one of"):
        run_peer("tpu", path, codes)
    tensors = [FileTensor("x", (1, 4), scale=0.1), FileTensor("y", (1, 4), scale=0.1)]
    path.write_bytes(tflite_file(tensors, [FileOperator("ATAN2", ["x", "x"], ["y"])], ["x"], ["y"]))
    with pytest.raises(ValueError, match="tflm does not run it") as caught:
        run_peer("tflm", path, {"x": np.zeros((1, 4), np.int8)})
    assert "\n" not in str(caught.value)


def test_a_peer_whose_process_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = classifier()
    path, codes = net.save(tmp_path), net.codes()
    for script, text in (("kill -6 $$", "it ended with -6"), ("echo first >&2; echo last >&2; exit 3", "last")):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(program))
            with pytest.raises(ValueError) as caught:
                run_peer("tflm", path, codes)
        assert str(caught.value) == f"{path}: tflm does not run it: {text}"
