"""Small models whose ends are in float, all scales powers of two, and ONNX Runtime as their oracle, to the bit.

With such scales ONNX Runtime's float32 layers are exact and round the same ties.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from compiler import compile_graph, load_onnx
from emulator import Machine, run_graph
from tests.compiler.machines import SMALL
from tests.compiler.models import Model, runtime

S = 1 / 16
W = 1 / 64


def typed_input(model: Model, shape: tuple[int, ...], kind: int, name: str = "input", batch: object = "batch") -> str:
    model.inputs.append(helper.make_tensor_value_info(name, kind, [batch, *shape]))
    return name


def conv(model: Model, x: str, seed: int = 0, depth: int = 3, bias: bool = True) -> str:
    rng = np.random.default_rng(seed)
    weights = model.weight(rng.integers(-127, 128, (4, depth, 3, 3)), np.full(4, W) * [1, 2, 1, 4])
    biases = [model.constant(rng.integers(-99, 99, 4) * 4 * S * W)] if bias else []
    return model.node("Conv", [x, weights, *biases], f"layer{seed or ''}")


def gemm(model: Model, x: str, seed: int = 0, depth: int = 8, outputs: int = 5) -> str:
    rng = np.random.default_rng(seed)
    weights = model.weight(rng.integers(-127, 128, (outputs, depth)), W)
    bias = model.constant(rng.normal(size=outputs).round(3))  # no multiple of the sums' step
    return model.node("Gemm", [x, weights, bias], f"fc{seed or ''}", transB=1)


def same(model: Model, folder, x: dict[str, np.ndarray], exactly: bool = True) -> None:
    """The model's own outputs, as ONNX Runtime has them; and out of the machine."""
    graph = load_onnx(model.save(folder))
    ours = run_graph(graph, x)
    for name, theirs in zip(model.outputs, runtime(model, model.outputs, x), strict=True):
        assert ours[name].dtype == theirs.dtype and ours[name].shape == theirs.shape
        if exactly:
            assert_array_equal(ours[name], theirs)
        else:
            assert np.abs(ours[name] - theirs).max() <= 2.0**-20 * np.abs(theirs).max()
    first = {name: array[:1] for name, array in x.items()}
    expected = run_graph(graph, first)
    for small in SMALL:
        config = replace(small, raw_outputs=any(getattr(node, "raw", False) for node in graph.nodes))
        for name, array in Machine(config).run(compile_graph(graph, config), first).outputs.items():
            assert_array_equal(array, expected[name])


def feed(model: Model, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {}
    for value in model.inputs:
        shape = (count, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]))
        kind = np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        made[value.name] = rng.normal(size=shape) if kind.kind == "f" else rng.integers(0, 9, shape)
        made[value.name] = made[value.name].astype(kind)
    return made


def normalized(model: Model) -> str:
    x = model.input((3, 6, 6))
    x = model.node("Sub", [x, model.constant(np.full((1, 3, 1, 1), 0.45))], "mean")
    return model.node("Div", [x, model.constant(np.array([0.2, 0.3, 0.25]).reshape(1, 3, 1, 1))], "deviation")


def pixels(model: Model) -> str:
    x = model.node("Cast", [typed_input(model, (6, 6, 3), TensorProto.UINT8)], "cast", to=TensorProto.FLOAT)
    x = model.node("Mul", [x, model.constant(np.float32(1 / 255))], "unit")
    return model.node("Transpose", [x], "turn", perm=[0, 3, 1, 2])


def embedded(model: Model) -> str:
    ids = typed_input(model, (6, 6), TensorProto.INT64)
    table = model.constant(np.random.default_rng(3).normal(size=(9, 3)))
    return model.node("Transpose", [model.node("Gather", [table, ids], "embed")], "turn", perm=[0, 3, 1, 2])


def softmax(model: Model, y: str) -> list[str]:
    return [model.node("Softmax", [model.qdq(gemm(model, y), S)], "soft", axis=1)]
