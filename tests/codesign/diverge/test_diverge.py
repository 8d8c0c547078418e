"""`diverge`: faults are planted in each of the implementations, and each is located to its layer and element."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from codesign.diverge import diverge, page_html, page_markdown, sentence
from codesign.diverge.divergence import compare_runs
from codesign.diverge.run import Subject, run
from compiler import compile_graph
from emulator import Graph, Machine, run_graph
from emulator.instructions import INSTRUCTION_BYTES
from emulator.machine.state import state
from emulator.program import Program
from tests.codesign.diverge import planted
from tests.codesign.diverge.planted import CONFIG, FAULTS, check_element, plant


def test_implementations_that_agree(graph: Graph, codes: dict[str, np.ndarray]) -> None:
    found = diverge(graph, "emulator", "machine", codes, config=CONFIG)
    assert found.agree and found.element is None
    assert sentence(found) == ("emulator and machine agree: over 2 samples, no code of 6 layers that both show differs")
    assert [layer.name for layer in found.layers if layer.compared is None] == ["depthwise"]  # fused into the sum


@pytest.mark.parametrize(
    ("fault", "other"),
    [
        ("corrupted word", "emulator"),
        ("swapped tile", "emulator"),
        ("swapped tile", "onnxruntime"),
        ("dropped token", "onnxruntime"),
    ],
)
def test_faults_in_the_machine(
    monkeypatch: pytest.MonkeyPatch, file: Path, graph: Graph, codes: dict[str, np.ndarray], fault: str, other: str
) -> None:
    planted_fault, layer = FAULTS[fault]
    honest = run_graph(graph, codes, every=True)
    plant(monkeypatch, graph, planted_fault)
    found = diverge(file, "machine", other, codes, config=CONFIG)
    program = compile_graph(graph, CONFIG)
    faulty = Machine(CONFIG).execute(program.images(codes), program.program_address, program.program_bytes)
    layers = np.concatenate([program.read(record.memory, layer) for record in faulty])
    check_element(found, layer, "machine", honest[layer], layers)
    if layer == "residual":  # the convolution is fused into the sum: its element is traced as well
        (hidden,) = found.element.hidden
        assert hidden.layer == "depthwise" and hidden.operator == "Convolution"


def test_wrong_rounding_in_the_machine(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray]
) -> None:
    honest = state.config_record
    floor = replace(CONFIG.arithmetic, rounding="floor")
    monkeypatch.setattr(state, "config_record", lambda config: honest(replace(config, arithmetic=floor)))
    found = diverge(graph, "emulator", "machine", codes, config=CONFIG)
    right, wrong = (
        run_graph(replace(graph, arithmetic=arithmetic), codes, every=True)["features.0"]
        for arithmetic in (graph.arithmetic, floor)
    )
    check_element(found, "features.0", "machine", right, wrong)


@pytest.mark.parametrize("fault", ["rounding", "weight"])
def test_faults_in_the_emulator(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray], fault: str
) -> None:
    wrong = (
        replace(graph, arithmetic=replace(graph.arithmetic, rounding="half_up"))
        if fault == "rounding"
        else planted.flipped_weight(graph, "features.0")
    )
    honest, faulty = (run_graph(each, codes, every=True) for each in (graph, wrong))
    layer = next(name for name in honest if (honest[name] != faulty[name]).any())
    monkeypatch.setattr("codesign.diverge.run.run_graph", lambda _, inputs, every: run_graph(wrong, inputs, every))
    found = diverge(graph, "machine", "emulator", codes, config=CONFIG)
    check_element(found, layer, "emulator", honest[layer], faulty[layer])


def test_a_fault_in_onnx_runtime(file: Path, graph: Graph, codes: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Its file has one other weight."""
    import onnx

    model = onnx.load(file)
    name = next(node for node in model.graph.node if node.name == "features.0").input[1]
    held = next(node for node in model.graph.node if node.output[0] == name).input[0]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == held)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[2, 0, 1, 1] ^= 0x10
    weight.CopyFrom(onnx.numpy_helper.from_array(values, held))
    onnx.save(model, tmp_path / "other.onnx")
    subjects = {
        "emulator": Subject(graph, CONFIG, codes, file),
        "onnxruntime": Subject(graph, CONFIG, codes, tmp_path / "other.onnx"),
    }
    runs = tuple(run(implementation, subject) for implementation, subject in subjects.items())
    found = compare_runs(subjects["emulator"], ("emulator", "onnxruntime"), runs)
    honest = run_graph(graph, codes, every=True)["features.0"]
    faulty = run_graph(planted.flipped_weight(graph, "features.0"), codes, every=True)["features.0"]
    check_element(found, "features.0", "onnxruntime", honest, faulty)


def test_a_wrong_rounding_in_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    import qat
    from qat.integers import requantize

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten())
    images = torch.rand(6, 2, 10, 10)
    model = qat.prepare(network, (images,))
    qat.calibrate(model, [images])
    qat.export_onnx(model, tmp_path / "m.onnx")
    x = {"input": images.numpy()}
    assert diverge(tmp_path / "m.onnx", "torch", "emulator", x, torch_model=model).agree
    assert diverge(tmp_path / "m.onnx", "torch", "machine", (images,), torch_model=model).agree
    with pytest.raises(ValueError, match="arrays by name without a torch_model"):
        diverge(tmp_path / "m.onnx", "machine", "emulator", (images,))
    right = qat.codes(model, images)
    for name in ("round_shift", "_round"):
        honest = getattr(requantize, name)

        def floor(value, shift, arithmetic, honest=honest):
            return honest(value, shift, replace(arithmetic, rounding="floor"))

        monkeypatch.setattr(requantize, name, floor)
    wrong = qat.codes(model, images)
    layer = next(name for name in right if (right[name] != wrong[name]).any())
    found = diverge(tmp_path / "m.onnx", "torch", "emulator", x, torch_model=model)
    check_element(found, layer, "torch", right[layer], wrong[layer])


@pytest.mark.skipif(find_spec("tflite_micro") is None, reason="needs the extra lockstep[tflm]")
def test_a_fault_in_tflm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its file has one other weight: a bit of the convolution's is turned around in its bytes."""
    from codesign.peers import process
    from compiler import load_model
    from emulator import Arithmetic
    from tests.compiler.tflite.whole import classifier

    file, other = classifier().save(tmp_path), tmp_path / "other.tflite"
    graph = load_model(file, Arithmetic.tflm())
    assert diverge(file, "tflm", "emulator", arithmetic=Arithmetic.tflm()).agree
    first = graph.nodes[0]
    stored = first.weight.tobytes()
    data = file.read_bytes()
    assert data.count(stored) == 1
    turned = bytes([stored[40] ^ 0x20])
    other.write_bytes(data.replace(stored, stored[:40] + turned + stored[41:]))
    honest = process.run_peer
    monkeypatch.setattr(process, "run_peer", lambda peer, _, *given, **options: honest(peer, other, *given, **options))
    codes = {"x0": np.random.default_rng(1).integers(-128, 128, (2, 4, 5, 3), np.int8)}
    found = diverge(file, "tflm", "emulator", codes, arithmetic=Arithmetic.tflm())
    right, wrong = (
        run_graph(load_model(path, Arithmetic.tflm()), codes, every=True)[first.name] for path in (file, other)
    )
    place = found.element.place
    assert (place.layer, place.sample, *place.index) == (first.name, *np.argwhere(right != wrong)[0].tolist())
    assert found.element.right == ("emulator",) and found.layers[0].differing == np.count_nonzero(right != wrong)


def test_the_page_shows_every_partial_sum(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray]
) -> None:
    plant(monkeypatch, graph, planted.swapped_tile)
    found = diverge(graph, "machine", "emulator", codes, config=CONFIG)
    page = page_html(found, "a <model>")
    assert page.count("<tr>") > 27 + 4 and "a &lt;model&gt;" in page and "<a " not in page
    assert str(found.element.trace.sums[-1].total) in page.replace("\u202f", "")
    assert sentence(found).startswith("machine and emulator part in layer 'features.0', sample 0, row 0, column 0")
    assert "emulator right, machine wrong" in sentence(found)


def test_a_run_that_stops(monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray]) -> None:
    """An operation code that there is not: what was stored before is equal, the next layer is the first to differ."""

    def illegal(program: Program, image: bytes) -> bytes:
        at = program.program_address + planted.loads(program, 2)[1] * INSTRUCTION_BYTES
        return image[:at] + b"\xff" + image[at + 1 :]

    plant(monkeypatch, graph, illegal)
    found = diverge(graph, "emulator", "machine", codes, config=CONFIG)
    index = planted.loads(compile_graph(graph, CONFIG), 2)[1]
    assert found.stops["machine"] == dict.fromkeys((0, 1), f"error OPCODE at instruction {index} (LOAD)")
    assert found.element.right == ("emulator",)
    assert f"machine stopped in sample 0: error OPCODE at instruction {index}" in sentence(found)
    assert "machine, sample 1: error OPCODE" in page_markdown(found, "m")


def test_what_cannot_be_compared(graph: Graph) -> None:
    for names, reason in (
        (("machine", "machine"), "must be two implementations, not machine twice"),
        (("machine", "gpu"), "must be one of torch, emulator, machine, rtl, onnxruntime, tflm, not 'gpu'"),
        (("torch", "emulator"), "torch needs the model that qat.prepare gave"),
        (("onnxruntime", "emulator"), "onnxruntime needs the ONNX file"),
        (("tflm", "emulator"), "tflm needs the TFLite file"),
    ):
        with pytest.raises(ValueError, match=reason):
            diverge(graph, *names)
