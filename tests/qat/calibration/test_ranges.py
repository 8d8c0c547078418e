"""Range statistics of a calibration, and whether new data still fit: the right layer is named, like data are quiet."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import qat
from compiler import ModelError, load_onnx
from emulator import Arithmetic, Graph, run_graph_counts
from emulator.graph.inputs import check_inputs
from qat.calibration.compare_ranges import LayerRange
from qat.calibration.ranges import RangeStatistics
from tests.qat.networks import Mixed, exported, images, randomized

BASE = RangeStatistics(
    codes=100_000, cut=100, overflows=0, low=-100, high=100, mean=0.0, deviation=30.0, bottom=-128, top=127
)


class Two(nn.Module):
    """Two inputs, a layer for each, and their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(6, 8), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head(torch.relu(self.left(a)) + torch.tanh(self.right(b)))


def calibrated(model: nn.Module, x: Tensor, folder: Path, **options: Any) -> Graph:
    prepared = qat.prepare(model, x, **options)
    qat.calibrate(prepared, x.split(32))
    return exported(prepared, folder)


def findings(graph: Graph, *batches: Tensor) -> dict[str, tuple[str, ...]]:
    result = qat.compare_ranges(graph, [{"input": x.numpy()} for x in batches])
    assert result.drifted == tuple(layer.name for layer in result.layers if layer.findings)
    return {layer.name: layer.findings for layer in result.layers if layer.drifted}


def test_statistics_are_those_of_the_emulators_telemetry(tmp_path: Path) -> None:
    x = images(40)
    rules = {"*": {"observer": "percentile", "percentile": 99.0}}
    prepared = qat.prepare(randomized(Mixed()), x, Arithmetic(accumulator_bits=14), settings=rules)
    qat.calibrate(prepared, iter([x[:30], x[30:]]))
    graph = exported(prepared, tmp_path)
    facts = graph.metadata["layers"]
    codes, counters = run_graph_counts(graph, {"input": x.numpy()})
    codes |= check_inputs(graph.inputs, {"input": x.numpy()})
    seen = {"cut": 0, "overflows": 0}
    for name, fact in facts.items():
        found, ordered = fact["statistics"], np.sort(codes[name], axis=None).astype(int)
        few = ordered.size // 1000
        assert found["codes"] == ordered.size
        assert (found["low"], found["high"]) == (ordered[few], ordered[-1 - few])
        assert (found["mean"], found["deviation"]) == (pytest.approx(ordered.mean()), pytest.approx(ordered.std()))
        if name == "input":
            tensor = graph.tensor("input")
            low, high = (np.float32(end - tensor.zero_point) * tensor.scale for end in (-128.5, 127.5))
            cut = int(((x < low) | (x > high)).sum())
        else:
            assert found["overflows"] == int(counters[name].overflows.sum())
            ends = [end for end in (found["bottom"], found["top"]) if end is not None]
            cut = int(np.isin(ordered, ends).sum())
        assert found["cut"] == cut, name
        seen = {field: count + found[field] for field, count in seen.items()}
    assert all(seen.values()), "the test must meet overflows and values that are cut off"
    # ReLU6 and ReLU end a layer's range below, the clamp of "mix" may end it above.
    assert facts["features.0"]["statistics"]["bottom"] is None and facts["head"]["statistics"]["bottom"] == -128
    # On the very data of the calibration all is equal.
    comparison = qat.compare_ranges(graph, [{"input": x.numpy()[20:]}, {"input": x.numpy()[:20]}])
    assert comparison.layers[0].name == "input"
    assert all(layer.found == layer.calibrated for layer in comparison.layers) and not comparison.due


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("count", [8, 200])
def test_data_like_those_of_calibration_are_quiet(seed: int, count: int, tmp_path: Path) -> None:
    graph = calibrated(randomized(Mixed(), seed), images(100, seed), tmp_path)
    assert findings(graph, images(count, seed + 10)) == {}


def test_shifted_inputs(tmp_path: Path) -> None:
    graph = calibrated(randomized(Mixed()), images(100), tmp_path)
    x = images(100, 1)
    large = qat.compare_ranges(graph, [{"input": 4 * x.numpy()}])
    assert large.due and large.drifted[0] == "input" and "cut" in large.layers[0].findings
    small = qat.compare_ranges(graph, [{"input": x.numpy() / 4}])
    assert small.due and small.drifted[0] == "input" and small.layers[0].findings == ("narrow",)
    text = str(small).splitlines()
    assert text[0] == "input: narrow" and text[-1].endswith("tensors drifted; a recalibration is due")
    plain = json.loads(json.dumps(small.as_dict()))
    assert plain["due"] and plain["drifted"] == list(small.drifted)
    assert plain["layers"][0]["findings"] == ["narrow"] and plain["layers"][0]["calibrated"]["codes"] == 12600


def test_the_layer_is_named_where_the_inputs_range_stays(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 16, 3))
    torch.nn.init.constant_(model[0].weight, 0.5)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(200, 1, 6, 6, generator=generator) * 2 - 1
    graph = calibrated(model, noise[:100], tmp_path)
    assert findings(graph, noise[100:]) == {}
    # Every pixel of an image alike: the same values at the input, sums three times as large.
    level = torch.rand(100, 1, 1, 1, generator=generator) * 2 - 1
    found = findings(graph, level.expand(100, 1, 6, 6))
    assert next(iter(found)) == "0" and "cut" in found["0"]


def test_overflows(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(64, 4))
    torch.nn.init.constant_(model[0].weight, 0.5)
    x = images(200, shape=(64,)).clamp(-2, 2)
    arithmetic = Arithmetic(accumulator_bits=18)
    graph = calibrated(model, x[:100], tmp_path, arithmetic=arithmetic)
    assert findings(graph, x[100:]) == {}
    found = qat.compare_ranges(graph, [{"input": x[:, :1].expand(200, 64).numpy()}])
    assert "overflows" in found.layers[1].findings and found.layers[1].name == "0"


def test_one_of_two_inputs(tmp_path: Path) -> None:
    torch.manual_seed(1)
    a, b = images(300, shape=(6,)), images(300, 1, shape=(4,))
    prepared = qat.prepare(Two(), (a[:100], b[:100]))
    qat.calibrate(prepared, [(a[:100], b[:100])])
    graph = exported(prepared, tmp_path)
    assert not qat.compare_ranges(graph, [{"a": a[100:].numpy(), "b": b[100:].numpy()}]).due
    found = qat.compare_ranges(graph, [{"a": a[100:].numpy(), "b": (b[100:] * 5).numpy()}])
    assert found.due and "b" in found.drifted and "right" in found.drifted
    assert "a" not in found.drifted and "left" not in found.drifted
    # Codes have nothing cut off, their ends show in the range alone.
    codes = {name: check_inputs(graph.inputs, {"a": a.numpy(), "b": b.numpy()})[name] for name in ("a", "b")}
    assert all(layer.found.cut == 0 for layer in qat.compare_ranges(graph, [codes]).layers[:2])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ()),
        # 1.25 · 102 + 500 expected of 100 000, and three deviations of 25.05.
        ({"cut": 702}, ()),
        ({"cut": 703}, ("cut",)),
        # 1.25 · 2 + 500, and three of 22.42.
        ({"overflows": 569}, ()),
        ({"overflows": 570}, ("overflows",)),
        ({"low": -50, "high": 50, "deviation": 14.9}, ()),
        ({"low": -50, "high": 49, "deviation": 15.0}, ()),
        ({"low": -50, "high": 49, "deviation": 14.9}, ("narrow",)),
        ({"deviation": 60.0}, ()),
        ({"deviation": 60.1}, ("wide",)),
        ({"mean": -30.0}, ()),
        ({"mean": 30.1}, ("moved",)),
    ],
)
def test_the_criterion(change: dict[str, Any], expected: tuple[str, ...]) -> None:
    layer = LayerRange(name="x", calibrated=BASE, found=replace(BASE, **change))
    assert layer.findings == expected
    assert layer.drifted == bool(expected) and layer.due == (expected not in ((), ("moved",), ("wide",)))


def test_a_few_samples_prove_less() -> None:
    few = replace(BASE, codes=100, cut=3)
    assert LayerRange(name="x", calibrated=BASE, found=few).findings == ()
    assert LayerRange(name="x", calibrated=BASE, found=replace(few, codes=100_000, cut=3000)).findings == ("cut",)


def test_training_discards_them_and_a_checkpoint_keeps_them(tmp_path: Path) -> None:
    x = images(20)
    prepared = qat.prepare(randomized(Mixed()), x)
    with pytest.raises(ValueError, match=r"graph must hold the ranges of a calibration: call qat\.record_ranges"):
        qat.compare_ranges(exported(prepared, tmp_path), [{"input": x.numpy()}])
    qat.calibrate(prepared, [x])
    before = exported(prepared, tmp_path).metadata["layers"]
    other = qat.prepare(randomized(Mixed()), x[:2])
    other.load_state_dict(prepared.state_dict())
    assert exported(other, tmp_path).metadata["layers"] == before
    copy.deepcopy(prepared).train()(x)
    prepared.train()(x)
    assert all("statistics" not in facts for facts in exported(prepared, tmp_path).metadata["layers"].values())
    qat.record_ranges(prepared, [x])
    assert prepared.training
    facts = exported(prepared, tmp_path).metadata["layers"]
    assert all("statistics" in fact for fact in facts.values()) and not facts["head"]["guaranteed"]
    qat.guarantee(prepared)
    facts = exported(prepared, tmp_path).metadata["layers"]
    assert not any("statistics" in fact for fact in facts.values()) and facts["head"]["guaranteed"]


def test_fitting_the_accumulator_records_anew(tmp_path: Path) -> None:
    x = images(20)
    prepared = qat.prepare(randomized(Mixed()), x, Arithmetic(accumulator_bits=13))
    qat.calibrate(prepared, [x])
    qat.fit_accumulator(prepared, iter([x]))
    comparison = qat.compare_ranges(exported(prepared, tmp_path), [{"input": x.numpy()}])
    assert all(layer.found == layer.calibrated for layer in comparison.layers)


def test_overflows_of_a_linear_layer_of_sequences_count(tmp_path: Path) -> None:
    """In the graph it stands between two transposes, of which the second has its name and no sums."""
    x = images(20, shape=(5, 6))
    prepared = qat.prepare(nn.Linear(6, 4), x, Arithmetic(accumulator_bits=10))
    qat.calibrate(prepared, [x])
    (layer,) = qat.compare_ranges(exported(prepared, tmp_path), [{"input": x.numpy()}]).layers[1:]
    assert layer.found == layer.calibrated and layer.found.overflows > 0


def test_bad_arguments(tmp_path: Path) -> None:
    x = images(4)
    prepared = qat.prepare(randomized(Mixed()), x)
    qat.calibrate(prepared, [x])
    graph = exported(prepared, tmp_path)
    with pytest.raises(TypeError, match="graph must be a Graph, as load_onnx gives it, not str"):
        qat.compare_ranges("model.onnx", [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batches must hold at least one sample, not none"):
        qat.compare_ranges(graph, [])
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Mixed"):
        qat.record_ranges(Mixed(), [x])  # type: ignore[arg-type]
    for wrong, message in (
        ({"codes": 0}, "statistics of 'head': codes must be an integer from 1 to"),
        ({"mean": 1}, "statistics of 'head': mean must be a number from -128.0 to 255, not 1"),
        ({"low": None}, "statistics of 'head': low must be an integer from -128 to 127, not None"),
        ({"more": 1}, "statistics of 'head': .*unexpected keyword argument 'more'"),
    ):
        layers = copy.deepcopy(graph.metadata["layers"])
        layers["head"]["statistics"] |= wrong
        with pytest.raises(ValueError, match=message):
            qat.compare_ranges(replace(graph, metadata={"layers": layers}), [{"input": x.numpy()}])
    layers = {"nowhere": graph.metadata["layers"]["head"]}
    with pytest.raises(ValueError, match="statistics must be of an input or a layer of the graph, not of 'nowhere'"):
        qat.compare_ranges(replace(graph, metadata={"layers": layers}), [{"input": x.numpy()}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be JSON, not '{'"),
        ("9" * 5000, "must be JSON, not '9"),
        ("[]", r"must be an object, not '\[\]'"),
        ("[" + " " * 10000 + "]", "must have at most 10000 characters, not 10002"),
        ('{"a": {}, "a": {}}', "gives 'a' twice"),
        ('{"a": 1}', "must be an object of obj"),
    ],
)
def test_damaged_facts_are_refused(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.reading.stored.layers.MAX_LENGTH", 10000)
    qat.export_onnx(qat.prepare(nn.Conv2d(3, 4, 3), images(2)), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    for entry in model.metadata_props:
        entry.value = text if entry.key == "lockstep.layers" else entry.value
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=rf"metadata lockstep\.layers {message}"):
        load_onnx(tmp_path / "model.onnx")
