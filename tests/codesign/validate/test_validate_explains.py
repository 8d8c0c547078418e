"""What `validate` explains, and what it does not: hidden roundings, saturating pairs, host parts, other runtimes."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from codesign.peers.onnx_slices import OnnxSlices
from codesign.validate import TIE, LayerComparison, validate
from codesign.validate import onnx as against_onnx
from codesign.validate.comparison import compare_codes
from codesign.validate.hidden import compared_within
from codesign.validate.saturation import may_saturate, saturates_pairs
from compiler import load_onnx
from emulator import run_graph
from emulator.graph import Tensor
from tests.codesign.command import fails
from tests.codesign.models import small_model
from tests.compiler.models import Model

CPU = "processor\t: 0\nflags\t\t: fpu sse2 avx2 {}\n"


def moved_rounding(bias: float = 0.0) -> Model:
    """Conv → Transpose → QuantizeLinear: the graph rounds in front of the move, the file behind it."""
    model = Model()
    x = model.qdq(model.input((3, 4, 5)), 0.1)
    weight = model.weight(np.random.default_rng(0).integers(-127, 128, (6, 3, 1, 1)), 0.3)
    y = model.node("Conv", [x, weight, model.constant(np.full(6, bias))], "conv")
    y = model.node("Transpose", [y], "turn", perm=[0, 1, 3, 2])
    model.output(model.qdq(y, 0.371))
    return model


def test_a_rounding_that_was_moved_past_a_move(tmp_path: Path) -> None:
    """The float bias of the convolution is known to the move's comparison: without it, nothing explains the codes."""
    report = validate(moved_rounding(bias=0.0137).save(tmp_path), images=64)
    layers = {layer.name: layer for layer in report.reference}
    assert (layers["conv"].counterpart, layers["conv"].within) == (None, "turn")
    turn = layers["turn"]
    assert turn.differing > 0 and turn.reason == "the rounded bias" and turn.bias_error > 0
    assert report.holds and not replace(turn, bias_error=0.0).explained


def test_layers_without_a_counterpart_are_said(tmp_path: Path) -> None:
    graph = load_onnx(moved_rounding().save(tmp_path))
    held = {name: code for name, code in graph.metadata["codes"].items()}
    assert compared_within(graph, held) == {"conv": "turn"}
    assert compared_within(graph, {"input": "x"}) == {}  # nothing behind them has codes


def u8s8(path: Path, weight: int) -> Path:
    """A Gemm of uint8 codes and int8 weights of one size, without zero points."""
    model = Model()
    x = model.qdq(model.input((8,)), 0.02, 0, "uint8")
    codes = np.full((4, 8), weight)
    codes[1::2] *= -1
    y = model.node("Gemm", [x, model.weight(codes, 0.01)], "fc", transB=1)
    model.output(model.qdq(y, 2.0, 128, "uint8"))
    return model.save(path)


def saturating(honest: object, graph: object, inputs: np.ndarray) -> object:
    """`OnnxSlices.run` of a processor without VNNI: optimized sessions add pairs of products in 16 bits."""

    def run(self: OnnxSlices, feeds: object, wanted: list[str], optimized: bool = False) -> dict[str, np.ndarray]:
        made = honest(self, feeds, wanted, optimized)
        held = graph.metadata["codes"]["fc"]
        if optimized and held in wanted:
            node = graph.tensor("fc")
            products = (inputs.astype(np.int64)[:, :, None] + 128) * node.weight.astype(np.int64)
            pairs = products.reshape(len(inputs), 4, 2, 4).sum(axis=2).clip(-(1 << 15), (1 << 15) - 1)
            real = pairs.sum(axis=1) * (0.02 * 0.01) / 2.0
            made[held] = np.clip(np.rint(real) + 128, 0, 255).astype(np.uint8)
        return made

    return run


@pytest.mark.parametrize(("weight", "flags", "holds"), [(127, "", True), (127, "avx512_vnni", False), (60, "", True)])
def test_saturating_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weight: int, flags: str, holds: bool
) -> None:
    """Pairs of products beyond 16 bits explain what a processor without VNNI makes; one with it has no such excuse."""
    path, cpu = u8s8(tmp_path, weight), tmp_path / "cpuinfo"
    cpu.write_text(CPU.format(flags))
    graph = load_onnx(path)
    x = {"input": np.random.default_rng(1).uniform(2.6, 5.1, (20, 8)).astype(np.float32)}
    codes = np.clip(np.rint(x["input"] / np.float32(0.02)), 0, 255).astype(np.int64) - 128
    monkeypatch.setattr(OnnxSlices, "run", saturating(OnnxSlices.run, graph, codes.astype(np.int8)))
    monkeypatch.setattr(against_onnx, "saturates_pairs", lambda: saturates_pairs(cpu))
    report = validate(path, x)
    (layer,) = (layer for layer in report.session if layer.name == "fc")
    assert (layer.differing > 0) == (weight == 127)
    assert report.holds == holds and all(layer.explained for layer in report.reference)
    if weight == 127:
        assert layer.largest > 1 and layer.reason == ("saturating 16-bit pairs" if holds else None)
        assert report.unexplained == (() if holds else ("fc",))


@pytest.mark.parametrize(
    ("weight", "channel", "difference", "explained"),
    [
        (64, 0, -1, False),  # 255 · 64 + 255 · 64 fits 16 bits
        (65, 0, -1, True),  # 255 · 65 + 255 · 65 loses 383 of 33,150: of four pairs 0.15 codes
        (65, 0, -2, False),
        (65, 0, 1, False),  # a sum that saturates above only gets smaller
        (65, 1, 1, True),
        (65, 1, -1, False),
        (127, 0, -13, True),  # four pairs of 64,770 lose 128,012: 12.8 codes
        (127, 0, -14, False),
    ],
)
def test_the_bound_of_a_pair(tmp_path: Path, weight: int, channel: int, difference: int, explained: bool) -> None:
    """A code is 10,000 units of the sum."""
    graph = load_onnx(u8s8(tmp_path, weight))
    codes = {"input": np.full((1, 8), 127, np.int8)}
    layers = codes | run_graph(graph, codes, every=True)
    theirs = layers["fc"] + np.int8(difference)
    assert may_saturate(graph, "fc", layers, theirs, [(0, (channel,))]) is explained


def test_what_ties_and_other_reasons_explain() -> None:
    """Up to a bound, that of the number which was rounded, not of the codes; and no tie where no float32 is."""
    layer = LayerComparison("fc", "Linear", "fc", compared=9, differing=1, largest=1, tie_distance=TIE)
    assert layer.reason == "ties of float32"
    assert not replace(layer, floats=False).explained and not replace(layer, tie_distance=None).explained
    beyond = replace(layer, tie_distance=0.7 + 2 * TIE)
    assert not beyond.explained
    for field, reason in (
        ("bias_error", "the rounded bias"),
        ("second_rounding", "sums rounded in front of a function"),
    ):
        assert replace(beyond, **{field: 0.7 + TIE}).reason == reason
        assert not replace(beyond, **{field: 0.7}).explained
    assert not replace(layer, bias_error=1.0, largest=50, tie_distance=49.0).explained


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(3, 4, 0.0), (5, 4, 1.0), (4, 6, 2.0), (3, 2, 1.0), (127, 125, 123.0)],
)
def test_how_far_a_code_is_from_what_was_rounded(ours: int, theirs: int, expected: float) -> None:
    """3.5 is rounded to 3 or 4; 2 and 5 are its neighbours, but no roundings of it."""
    tensor = Tensor(name="y", shape=(1,), scale=0.1, zero_point=-2)
    left, right = (np.array([[code]], np.int8) for code in (ours, theirs))
    for offset in (0, 128):
        arrays = [left, right] if not offset else [(a.astype(int) + 128).astype(np.uint8) for a in (left, right)]
        _, fields = compare_codes(tensor, arrays[0], arrays[1], np.array([[5.5]]), "ONNX Runtime")
        assert fields["tie_distance"] == expected and fields["largest"] == abs(ours - theirs)


def test_processors(tmp_path: Path) -> None:
    cpu = tmp_path / "cpuinfo"
    for flags, expected in (("", True), ("avx512_vnni", False), ("avx_vnni", False), ("amx_int8", False)):
        cpu.write_text(CPU.format(flags))
        assert saturates_pairs(cpu) is expected
    assert saturates_pairs(tmp_path / "absent") is False


def softmax_model(folder: Path) -> Path:
    """Gemm, its codes, and a Softmax that the host computes."""
    model = Model()
    x = model.qdq(model.input((12,)), 0.05)
    y = model.node(
        "Gemm", [x, model.weight(np.random.default_rng(2).integers(-127, 128, (5, 12)), 0.01)], "fc", transB=1
    )
    model.output(model.node("Softmax", [model.qdq(y, 0.1)], "softmax", axis=1))
    return model.save(folder)


def test_outputs_that_the_host_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = softmax_model(tmp_path)
    report = validate(path)
    (output,) = report.outputs
    assert report.holds and output.kind == "float32" and output.compared == 16 * 5
    assert report.reason(output) in ("equal", "the layers that differ", "float32 of the host part")
    honest = against_onnx.model_outputs
    monkeypatch.setattr(
        against_onnx, "model_outputs", lambda *given: {name: 1 - array for name, array in honest(*given).items()}
    )
    wrong = validate(path)
    assert not wrong.holds and wrong.unexplained == (f"output {output.name}",)


def test_optimizations_across_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default session whose output differs, behind equal layers: explained where the plain session has our values."""
    honest, path = OnnxSlices.run, u8s8(tmp_path, 60)
    (output,) = load_onnx(path).outputs
    for plain_too, reason in ((False, "optimizations across layers"), (True, None)):

        def run(self: OnnxSlices, feeds: object, wanted: list[str], optimized: bool = False, both: bool = plain_too):
            made = honest(self, feeds, wanted, optimized)
            if "input" in feeds and (optimized or both) and wanted == [output]:
                made[output][0, 0] += 2.0  # a code of the last layer
            return made

        monkeypatch.setattr(OnnxSlices, "run", run)
        report = validate(path, images=4)
        assert [report.reason(found) for found in report.outputs] == [reason]
        assert report.holds == (reason is not None)


def test_what_cannot_be_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(tmp_path)
    fails(
        capsys, ["validate", model, "--against", "tensorflow"], "--against", "onnxruntime, litert, tflm", "tensorflow"
    )
    fails(capsys, ["validate", model, "--against", "tflm"], str(model), "an ONNX file", "onnxruntime")
    monkeypatch.setattr("codesign.peers.runtimes.find_spec", lambda name: None)
    fails(capsys, ["validate", model], "onnxruntime", "pip install 'lockstep[onnxruntime]'")


def test_an_opset_that_onnx_runtime_does_not_know(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("opset 99 is under development\nand more")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuses)
    model = small_model(tmp_path)
    fails(capsys, ["validate", model], str(model), "ONNX Runtime cannot compute", "opset 99 is under development")


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="needs the extra lockstep[tflm]")
@pytest.mark.parametrize("against", ["tflm", "litert"])
def test_tflite_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, against: str) -> None:
    """Against its own kernels nothing differs; a wrong shift of one layer is found in that layer, behind equal ones."""
    from codesign.validate import validation
    from emulator import Arithmetic, Convolution
    from tests.compiler.tflite.whole import classifier

    path = classifier().save(tmp_path)
    if against == "litert" and find_spec("ai_edge_litert") is None:
        pytest.skip("needs the extra lockstep[litert]")
    arithmetic = Arithmetic.tflm() if against == "tflm" else Arithmetic()
    report = validate(path, arithmetic=arithmetic, images=8, against=against)
    assert report.holds and report.reference is report.layers
    assert sum(layer.compared for layer in report.layers) > 100 and report.outputs
    if against == "tflm":
        assert not any(layer.differing for layer in report.layers) and not any(out.differing for out in report.outputs)
    right = validation.load_model

    def wrong(*arguments: object, **options: object) -> object:
        graph = right(*arguments, **options)
        last = [node for node in graph.nodes if isinstance(node, Convolution)][-1]
        changed = replace(last, shift=last.shift + 1)
        return replace(graph, nodes=tuple(changed if node is last else node for node in graph.nodes))

    monkeypatch.setattr(validation, "load_model", wrong)
    report = validate(path, arithmetic=arithmetic, images=8, against=against)
    graph = right(path, arithmetic)
    last = [node.name for node in graph.nodes if isinstance(node, Convolution)][-1]
    assert not report.holds and [layer.name for layer in report.layers if not layer.explained] == [last]
