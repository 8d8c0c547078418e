"""MLPerf Tiny's five int8 networks against TFLM and LiteRT: every output and every tensor."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.peers.tflite_agreement import against_litert, against_tflm

FOLDER = Path(__file__).parents[4] / "shared" / "cases" / "tflite"
NAMES = ("autoencoder", "dscnn", "mobilenet", "resnet8", "wakeword")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the networks are not in {FOLDER}")


@pytest.mark.parametrize("name", NAMES)
def test_tflm(name: str) -> None:
    pytest.importorskip("tflite_micro", reason="the package tflite-micro is not installed (extra tflm)")
    found = against_tflm(FOLDER / f"mlperf_tiny_{name}.tflite", count=2)
    assert (found["outputs"].differing, found["tensors"].differing) == (0, 0)
    assert found["outputs"].compared >= 7 * 2 and found["tensors"].compared > found["outputs"].compared


@pytest.mark.parametrize("name", NAMES)
def test_litert(name: str) -> None:
    """The default Arithmetic is within a rounding of single float32 products of XNNPACK."""
    pytest.importorskip("ai_edge_litert", reason="the package ai-edge-litert is not installed (extra litert)")
    found = against_litert(FOLDER / f"mlperf_tiny_{name}.tflite", count=1)
    assert "FULLY_CONNECTED" in found
    for code, agreement in found.items():
        assert agreement.compared and agreement.largest <= 1 and agreement.differing <= 2, (code, agreement)
