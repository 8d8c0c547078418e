"""Damaged files: one sentence or a graph that runs, soon, and in little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tflite

from codesign.peers.tflite_mutants import byte_mutant, field_mutant
from compiler import ModelError, load_model
from compiler.tflite.environment import LIMITS
from emulator import Arithmetic, run_graph
from tests.compiler.tflite.net import Net
from tests.compiler.tflite.whole import classifier, mixture, parts, upscaler


@pytest.mark.parametrize("make", [classifier, mixture, upscaler])
@pytest.mark.parametrize("kind", ["bytes", "fields"])
def test_mutants(tmp_path: Path, make: object, kind: str) -> None:
    """A ModelError of one sentence, or a graph whose codes come out."""
    net = make()
    whole, data = parts(net), net.file()
    path = tmp_path / "net.tflite"
    refused = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        mutant = byte_mutant(data, rng) if kind == "bytes" else field_mutant(whole, rng)
        path.write_bytes(mutant)
        start = time.process_time()
        try:
            graph = load_model(path, Arithmetic.tflm() if seed % 2 else None)
        except ModelError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error), f"seed {seed}: {error}"
        else:
            if sum(np.prod(node.shape) for node in graph.nodes) < 1e5:
                run_graph(graph, {t.name: np.full((1, *t.shape), t.y_min, np.int8) for t in graph.inputs})
        assert time.process_time() - start < 2, f"seed {seed}"
    assert 20 < refused < 120


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = classifier().file()
    path = tmp_path / "net.tflite"
    for length in range(8, len(data), 61):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_model(path)


def test_tables_that_point_to_one_another_again_and_again(tmp_path: Path) -> None:
    """20,000 operators in 80 kB that all are the same table: the work stays bounded by the size."""
    net = classifier()
    data = bytearray(net.file())
    graph = tflite.Model.GetRootAs(bytes(data)).Subgraphs(0)
    tab = graph._tab
    count = 20_000
    # The vector lies in front of the operator's table, so its offsets lead forward; the rest of the file moves behind.
    field = tab.Pos + tab.Offset(10)
    old = field + struct.unpack_from("<I", data, field)[0]
    target = old + 4 + struct.unpack_from("<I", data, old + 4)[0]
    table = bytes(data[target:])
    start = len(data) + (-len(data) % 4)
    data.extend(bytes(start - len(data)))
    struct.pack_into("<I", data, field, start - field)
    end = start + 4 + 4 * count
    data += struct.pack("<I", count) + b"".join(struct.pack("<I", end - (start + 4 + 4 * i)) for i in range(count))
    data += table
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(ModelError, match="again and again"):
        load_model(path)
    assert time.process_time() - began < 5


def test_small_files_that_declare_much(tmp_path: Path) -> None:
    """Shapes and factors of any size take no memory before they are refused."""
    path = tmp_path / "net.tflite"
    for change in ("shape", "resize", "pad", "pool", "weights"):
        net = Net(0)
        x = net.input((1, 2, 2, 1) if change != "shape" else (1, 1 << 14, 1 << 14, 1 << 12))
        if change == "resize":
            net.add("RESIZE_NEAREST_NEIGHBOR", [x, net.integers(1 << 20, 1 << 20)], (1, 1 << 20, 1 << 20, 1), x)
        elif change == "pad":
            pads = np.array([[0, 0], [1 << 20, 0], [0, 1 << 20], [0, 0]], np.int32)
            net.add("PAD", [x, net.constant(pads)], (1, (1 << 20) + 2, (1 << 20) + 2, 1), x)
        elif change == "pool":
            big = {"StrideH": 1, "StrideW": 1, "FilterHeight": 1 << 19, "FilterWidth": 1 << 19}
            net.add("AVERAGE_POOL_2D", [x], (1, 2, 2, 1), x, Padding=0, **big)
        elif change == "weights":
            w = net.constant(np.zeros((1, 1, 1, 1), np.int8), 0.1)
            net.tensors[-1] = type(net[w])(w, (1 << 28, 1, 1, 1), "int8", 0.1, 0, np.zeros(1, np.int8))
            net.add("CONV_2D", [x, w, ""], (1, 2, 2, 1 << 28), StrideH=1, StrideW=1)
        else:
            net.add("RELU", [x], (1, 1 << 14, 1 << 14, 1 << 12))
        path.write_bytes(net.file())
        tracemalloc.start()
        try:
            with pytest.raises(ModelError):
                load_model(path)
            assert tracemalloc.get_traced_memory()[1] < 20 << 20, change
        finally:
            tracemalloc.stop()


def test_what_all_operators_take_together_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small operators of large results: positions of pools, pieces of resized maps."""
    for what, most in LIMITS.items():
        monkeypatch.setitem(LIMITS, what, 100)
        net = Net(0)
        x = net.input((1, 6, 6, 1))
        for index in range(4):
            if what.startswith("positions"):
                window = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2}
                net.add("AVERAGE_POOL_2D", [x], (1, 6, 6, 1), x, Padding=0, **window)
            else:
                net.add("RESIZE_NEAREST_NEIGHBOR", [x, net.integers(15, 15)], (1, 15, 15, 1), x)
            names = [operator.outputs[0] for operator in net.operators]
            (tmp_path / "net.tflite").write_bytes(net.file(*names))
            if index < 2:
                assert load_model(tmp_path / "net.tflite").nodes
        with pytest.raises(ModelError, match=f"the {what} must be at most 100 in all of the file"):
            load_model(tmp_path / "net.tflite")
        monkeypatch.setitem(LIMITS, what, most)
