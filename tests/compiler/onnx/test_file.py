"""Files of unknown origin: missing, foreign, truncated, oversized, damaged; each is an `ModelError` that says so."""

from __future__ import annotations

import os
import random
import time

import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler import ModelError, load_onnx
from compiler.onnx import file as onnx_file
from emulator import run_graph
from tests.compiler.models import Model, small_network


def refused(path, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_onnx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and text in message and "\n" not in message, message


def edited(tmp_path, change) -> object:
    """The small network's file after `change` of its ModelProto."""
    proto = small_network().proto()
    change(proto)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_not_a_file(tmp_path):
    refused(tmp_path / "absent.onnx", "cannot be read: No such file or directory")
    refused(tmp_path, "is not a regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is not a regular file")


def test_empty_foreign_and_oversized(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    refused(path, "is empty")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    refused(path, "is not an ONNX model")
    path.write_text("weights: none\n")
    refused(path, "is not an ONNX model")
    path.write_bytes(b"\x08\x0a")  # a valid message that holds no graph
    refused(path, "is not an ONNX model: it holds no graph")
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 1000)
    refused(small_network().save(tmp_path), "must have at most 1000 bytes, not ")


def test_truncated_anywhere(tmp_path):
    """Cut inside a field it cannot be parsed; cut between two fields something is missing."""
    data = small_network().save(tmp_path).read_bytes()
    path = tmp_path / "cut.onnx"
    for length in range(1, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_onnx(path)


def test_damaged_bytes_give_a_graph_or_a_sentence(tmp_path):
    data = small_network().save(tmp_path).read_bytes()
    path = tmp_path / "damaged.onnx"
    generator = random.Random(0)
    outcomes = {"graph": 0, "refused": 0}
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 1, 2, 5])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            load_onnx(path)
            outcomes["graph"] += 1
        except ModelError as error:
            assert "\n" not in str(error) and str(error).startswith(f"{path}: ")
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50, outcomes


def test_versions(tmp_path):
    refused(edited(tmp_path, lambda m: setattr(m, "ir_version", 2)), "ir_version must be from 3 to ")
    refused(edited(tmp_path, lambda m: setattr(m, "ir_version", 1000)), "ir_version must be from 3 to ")
    refused(edited(tmp_path, lambda m: setattr(m.opset_import[0], "version", 9)), "must be from 10 to 28, not 9")
    refused(edited(tmp_path, lambda m: setattr(m.opset_import[0], "version", 99)), "must be from 10 to 28, not 99")
    none = edited(tmp_path, lambda m: m.opset_import.pop())
    refused(none, "must import the default operator set in one version, not []")
    twice = edited(tmp_path, lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 13)))
    refused(twice, "must import the default operator set in one version, not [13, 21]")


@pytest.mark.parametrize("opset", range(13, 26))
def test_every_operator_set(opset, tmp_path):
    """The same network in every version gives the same codes."""
    x = {"input": np.random.default_rng(0).normal(0, 1, (2, 3, 12, 12)).astype(np.float32)}
    (expected,) = run_graph(load_onnx(small_network().save(tmp_path)), x).values()
    (found,) = run_graph(load_onnx(small_network(opset=opset).save(tmp_path)), x).values()
    np.testing.assert_array_equal(found, expected)


def test_missing_initializer_and_dangling_names(tmp_path):
    path = edited(tmp_path, lambda m: m.graph.initializer.pop(0))
    refused(path, "reads 'constant_1', which no node, input or initializer makes")
    path = edited(tmp_path, lambda m: setattr(m.graph.output[0], "name", "nothing"))
    refused(path, "output 'nothing' is made by no node")
    refused(edited(tmp_path, lambda m: m.graph.output.pop()), "the graph has no output")
    refused(edited(tmp_path, lambda m: m.graph.input.pop()), "the graph has no input")


def test_duplicates(tmp_path):
    first = edited(tmp_path, lambda m: m.graph.initializer.append(m.graph.initializer[0]))
    refused(first, "initializer 'constant_1' is defined twice")
    refused(edited(tmp_path, lambda m: m.graph.input.append(m.graph.input[0])), "graph input 'input' is defined twice")
    refused(edited(tmp_path, lambda m: m.graph.output.append(m.graph.output[0])), "is defined twice")
    refused(edited(tmp_path, lambda m: m.graph.node.append(m.graph.node[0])), "is made twice")


def test_cycle(tmp_path):
    def change(proto):
        by_name = {node.name: node for node in proto.graph.node}
        by_name["features.1"].input[0] = by_name["pool"].output[0]

    refused(edited(tmp_path, change), "depends on its own output, so the graph has a cycle")


def test_nodes_out_of_order_are_sorted(tmp_path):
    def change(proto):
        nodes = list(proto.graph.node)[::-1]
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)

    expected = load_onnx(small_network().save(tmp_path))
    found = load_onnx(edited(tmp_path, change))
    assert [node.name for node in found.nodes] == [node.name for node in expected.nodes]


def test_long_chain_does_not_overflow_the_stack(tmp_path):
    model = Model()
    x = model.qdq(model.input((4,)), 0.1)
    for _ in range(5000):
        x = model.node("Identity", [x])
    model.output(x)
    assert load_onnx(model.save(tmp_path)).outputs == {x: "input"}


def test_malformed_nodes(tmp_path):
    def node(proto, name):
        return next(node for node in proto.graph.node if node.name == name)

    refused(edited(tmp_path, lambda m: node(m, "pool").input.pop()), "MaxPool 'pool': must have 1 to 1 inputs, not 0")
    refused(edited(tmp_path, lambda m: node(m, "pool").ClearField("attribute")), "attribute 'kernel_shape' is missing")
    twice = edited(tmp_path, lambda m: node(m, "pool").attribute.append(node(m, "pool").attribute[0]))
    refused(twice, "MaxPool 'pool': an attribute is given twice")
    old = edited(tmp_path, lambda m: (setattr(node(m, "flatten"), "op_type", "Gelu"),
                                      setattr(m.opset_import[0], "version", 13)))  # fmt: skip
    refused(old, "Gelu 'flatten': operator set 13 has no such operator")


def test_sparse_initializer(tmp_path):
    refused(edited(tmp_path, lambda m: m.graph.sparse_initializer.add()), "sparse initializer '' is not supported")


@pytest.mark.parametrize(("change", "text"), [
    (lambda t: t.dims.append(1 << 40), "must have at most 2^28 elements, not shape"),
    (lambda t: t.dims.__setitem__(0, -8), "must have sizes of at least 0, not shape"),
    (lambda t: t.dims.__setitem__(0, 7), "must hold 189 values, not 216"),
    (lambda t: t.int32_data.pop(), "must hold 216 values, not 215"),
    (lambda t: t.int32_data.__setitem__(0, 1000), "must hold values from -128 to 127, as INT8 does"),
    (lambda t: setattr(t, "raw_data", b"123"), "must hold 216 bytes, not 3"),
    (lambda t: setattr(t, "data_type", TensorProto.STRING), "must be a float of 16, 32 or 64 bits or an intege"),
    (lambda t: setattr(t, "data_type", 77), "not type 77"),
    (lambda t: setattr(t.segment, "begin", 1), "is stored in segments"),
])  # fmt: skip
def test_malformed_constants(change, text, tmp_path):
    path = edited(tmp_path, lambda m: change(next(t for t in m.graph.initializer if list(t.dims) == [8, 3, 3, 3])))
    refused(path, text)
    refused(path, "constant 'constant_7'")


def test_external_data(tmp_path):
    """Read from inside the model's folder; refused anywhere else, by name, link or absolute path, and when short."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = small_network()
    expected = load_onnx(model.save(folder)).nodes[0]
    codes = np.ascontiguousarray(expected.weight.transpose(0, 3, 1, 2))
    (folder / "data.bin").write_bytes(bytes(16) + codes.tobytes())
    (tmp_path / "outside.bin").write_bytes(bytes(16) + codes.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    tensor = next(t for t in model.initializers if list(t.dims) == [8, 3, 3, 3])
    del tensor.int32_data[:]
    tensor.data_location = TensorProto.EXTERNAL

    def store(**entries: str):
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        return model.save(folder)

    found = load_onnx(store(location="data.bin", offset="16", length="216")).nodes[0]
    np.testing.assert_array_equal(found.weight, expected.weight)
    for location in ("../outside.bin", "link.bin", str(tmp_path / "outside.bin"), ""):
        path = store(location=location, offset="16")
        refused(path, f"must keep its external data inside the model's folder, not at {location!r}"[:99])
    refused(store(location="absent.bin"), "needs the external file 'absent.bin', which is missing")
    refused(store(location="data.bin", offset="17"), "inside 'data.bin' (232 bytes), not 216 at offset 17")
    refused(store(location="data.bin", offset="-1"), "not 216 at offset -1")
    refused(store(location="data.bin", length="999999999999"), "not 999999999999 at offset 0")
    refused(store(location="data.bin", offset="many"), "has a broken reference to external data 'data.bin'")
    refused(store(location="a\0b"), "has a broken reference to external data")
    refused(store(location="x" * 5000), "has a broken reference to external data")
    refused(store(location="x/" * 2500), "has a broken reference to external data")
    refused(store(location="."), "needs the external file '.', which is missing")


def test_absurd_windows_cost_no_time_or_memory(tmp_path):
    for op, size, kernel, text in (
        ("AveragePool", (1 << 14, 1 << 14), (1 << 14, 1 << 14), "a window of 16384×16384 can overflow the sum's"),
        ("AveragePool", (1 << 14, 1 << 14), (1, 1), "the result must have at most 2^22 positions, not (16384, 16384)"),
        ("MaxPool", (1 << 27, 1), (1 << 20, 1), "the padded map must have at most 1048576 rows and columns"),
    ):
        model = Model()
        x = model.qdq(model.input((1, *size)), 0.1)
        model.output(model.qdq(model.node(op, [x], "pool", kernel_shape=kernel), 0.1))
        start = time.perf_counter()
        refused(model.save(tmp_path), f"{op} 'pool': {text}")
        assert time.perf_counter() - start < 5
