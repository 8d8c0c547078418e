"""Layers by rows against ONNX Runtime: what their widths cost is a known reason, and so is a fused kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.validate import validate
from tests.compiler.models import Model
from tests.compiler.onnx.row_models import norm_model, one_layer, tokens


def test_the_integers_of_a_row_explain_what_differs(tmp_path):
    """Of 100,000 codes of a layer norm about ten differ from float32's, by 1, farther from a tie than float32 is."""
    rng = np.random.default_rng(1)
    constants = [rng.normal(0, 1, 512).astype(np.float32), rng.normal(0, 0.3, 512).astype(np.float32)]
    path = norm_model("LayerNormalization", (8, 512), constants).save(tmp_path)
    report = validate(path, {"input": tokens((8, 512), 3, 24)})
    (layer,) = (layer for layer in report.reference if layer.differing)
    assert layer.largest == 1 and layer.reason == "the row's integers" and 0 < layer.row_error < 0.1
    assert report.holds and not replace(layer, row_error=0.0).explained


def test_a_fused_softmax_approximates(tmp_path):
    def build(m: Model, x: str) -> str:
        return m.node("Softmax", [m.qdq(m.node("Relu", [x]), 0.05)], "soft", axis=-1)

    report = validate(one_layer(build, (9,), 1 / 255, -128).save(tmp_path), {"input": tokens((9,), 1, 64)})
    assert not any(layer.differing for layer in report.reference)
    (layer,) = (layer for layer in report.session if layer.differing)
    assert layer.reason == "a fused kernel" and not replace(layer, fused=False).explained and report.holds
