"""`Model`: quantized ONNX models for the tests, built node by node; and ONNX Runtime as their oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from compiler import load_onnx
from emulator import Graph, run_graph

KINDS = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "int4": TensorProto.INT4, "uint4": TensorProto.UINT4}


class Model:
    """Collects nodes; every method that adds one returns the name of its (first) output."""

    def __init__(self, opset: int = 21) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[str] = []
        self.metadata: dict[str, str] = {}
        self.number = 0

    def fresh(self, stem: str) -> str:
        self.number += 1
        return f"{stem}_{self.number}"

    def node(self, op: str, inputs: list[str], name: str = "", outputs: int = 1, **attributes: object) -> str:
        made = [self.fresh(op.lower()) for _ in range(outputs)]
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, inputs, made, name=name, **attributes))
        return made[0]

    def constant(self, values: object, kind: str = "float32", name: str = "") -> str:
        name = name or self.fresh("constant")
        if kind in KINDS:
            array = np.asarray(values, np.int64)
            self.initializers.append(helper.make_tensor(name, KINDS[kind], array.shape, array.reshape(-1).tolist()))
        else:
            self.initializers.append(numpy_helper.from_array(np.array(values, kind), name))
        return name

    def input(self, shape: tuple[object, ...], name: str = "input", batch: object = "batch") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]))
        return name

    def quantize(self, x: str, scale: float, zero_point: int = 0, kind: str = "int8", name: str = "") -> str:
        return self.node("QuantizeLinear", [x, self.constant(scale), self.constant(zero_point, kind)], name)

    def dequantize(self, codes: str, scale: object, zero: object = 0, kind: str = "int8", **attributes: object) -> str:
        return self.node("DequantizeLinear", [codes, self.constant(scale), self.constant(zero, kind)], **attributes)

    def qdq(self, x: str, scale: float, zero_point: int = 0, kind: str = "int8") -> str:
        return self.dequantize(self.quantize(x, scale, zero_point, kind), scale, zero_point, kind)

    def weight(self, codes: object, scale: object, axis: int = 0, kind: str = "int8", zero: int = 0) -> str:
        """A weight behind a DequantizeLinear; scale: one number or one per channel of `axis`."""
        points = np.full(np.shape(scale), zero)
        attributes = {"axis": axis} if np.ndim(scale) else {}
        return self.dequantize(self.constant(codes, kind), scale, points, kind, **attributes)

    def bias(self, codes: object, scale: object) -> str:
        attributes = {"axis": 0} if np.ndim(scale) else {}
        zeros = self.constant(np.zeros(np.shape(scale)), "int32")
        return self.node("DequantizeLinear", [self.constant(codes, "int32"), self.constant(scale), zeros], **attributes)

    def output(self, name: str) -> None:
        self.outputs.append(name)

    def proto(self) -> onnx.ModelProto:
        outputs = [helper.make_empty_tensor_value_info(name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, outputs, self.initializers)
        versions = [helper.make_opsetid("", self.opset)]
        versions += [helper.make_opsetid(domain, 1) for domain in sorted({n.domain for n in self.nodes} - {""})]
        model = helper.make_model(graph, opset_imports=versions, ir_version=10)
        if self.metadata:
            helper.set_model_props(model, self.metadata)
        return model

    def save(self, folder: Path) -> Path:
        path = folder / "model.onnx"
        path.write_bytes(self.proto().SerializeToString())
        return path

    def arithmetic(self, **fields: object) -> None:
        self.metadata["lockstep.arithmetic"] = json.dumps(fields)


def runtime(model: Model, wanted: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The tensors `wanted` in ONNX Runtime on the CPU in float32, without graph optimization."""
    proto = model.proto()
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(array) for array in session.run(wanted, feeds)]


def small_network(seed: int = 0, opset: int = 21, batch: object = "batch") -> Model:
    """Conv + Relu, max pool, depthwise Conv + Relu6, residual add, average pool, Flatten, Gemm."""
    rng = np.random.default_rng(seed)
    model = Model(opset)
    x = model.qdq(model.input((3, 12, 12), batch=batch), 0.02, 3)
    scale = rng.uniform(0.002, 0.01, 8).astype(np.float32)
    weight = model.weight(rng.integers(-127, 128, (8, 3, 3, 3)), scale)
    bias = model.bias(rng.integers(-3000, 3000, 8), np.float32(0.02) * scale)
    y = model.node("Conv", [x, weight, bias], "features.0", pads=[1, 1, 1, 1])
    y = model.qdq(model.node("Relu", [y], "features.1"), 0.05, -128)
    y = model.qdq(model.node("MaxPool", [y], "pool", kernel_shape=[2, 2], strides=[2, 2]), 0.05, -128)
    z = model.node("Conv", [y, model.weight(rng.integers(-127, 128, (8, 1, 3, 3)), 0.01)], "depthwise", group=8,
                   pads=[1, 1, 1, 1])  # fmt: skip
    z = model.qdq(model.node("Clip", [z, model.constant(0.0), model.constant(6.0)]), 6 / 255, -128)
    y = model.qdq(model.node("Add", [y, z], "residual"), 0.08, -100)
    y = model.qdq(model.node("AveragePool", [y], "average", kernel_shape=[2, 2], strides=[2, 2]), 0.04, -110)
    y = model.node("Flatten", [y], "flatten")
    weight = model.weight(rng.integers(-127, 128, (10, 72)), rng.uniform(0.002, 0.01, 10).astype(np.float32))
    y = model.qdq(model.node("Gemm", [y, weight, model.constant(rng.normal(size=10))], "classifier", transB=1), 0.6, 5)
    model.output(y)
    return model


def check_against_runtime(model: Model, folder: Path, x: dict[str, np.ndarray], **options: object) -> tuple[Graph, int]:
    """Run the model's last layer in the emulator and in ONNX Runtime: (graph, number of codes that differ).

    A difference must be one code, and the real number that was rounded must lie within 2^−12 of a tie.
    """
    last = [node for node in model.nodes if node.op_type == "QuantizeLinear"][-1]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.initializers}
    graph = load_onnx(model.save(folder), **options)
    codes, real = runtime(model, [last.output[0], last.input[0]], x)
    (ours,) = run_graph(graph, x).values()
    theirs = codes.astype(np.int64) - (128 if codes.dtype == np.uint8 else 0)
    assert ours.shape == theirs.shape
    differing = ours != theirs
    steps = real.astype(np.float64)[differing] / np.float64(constants[last.input[1]])
    assert (np.abs(ours - theirs)[differing] == 1).all()
    assert (np.abs(steps - np.floor(steps) - 0.5) <= 2.0**-12).all()
    return graph, int(differing.sum())
