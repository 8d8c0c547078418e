"""MatMul of two activations: numbers are ONNX Runtime's and plain Python's, and few layers move codes around it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from compiler import compile_graph, load_onnx
from emulator import AcceleratorConfig, Arithmetic, Machine, MatrixProduct, run_graph
from tests import graph_oracle
from tests.compiler.models import Model, check_against_runtime
from tests.compiler.refusals import refused

SHAPES = [
    ((3, 4), (4, 5)),
    ((1, 7), (7, 1)),
    ((2, 3, 4), (2, 4, 5)),
    ((4, 1, 6), (4, 6, 3)),
    ((1, 5, 3), (3, 3, 2)),
    ((3, 5, 3), (1, 3, 2)),
    ((1, 1, 1), (1, 1, 1)),
]


def floats(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (2, *shape)).astype(np.float32)


@pytest.mark.parametrize("kinds", [("int8", "int8"), ("uint8", "int8"), ("int8", "uint8")])
@pytest.mark.parametrize("shapes", SHAPES)
def test_between_dequantizers(tmp_path: Path, shapes: tuple, kinds: tuple[str, str]) -> None:
    model, rng = Model(), np.random.default_rng(len(str(shapes)))
    operands = []
    for name, shape, kind in zip("ab", shapes, kinds, strict=True):
        zero = int(rng.integers(-20, 20)) + 128 * (kind == "uint8")
        operands.append(model.qdq(model.input(shape, name), 0.05, zero, kind))
    model.output(model.qdq(model.node("MatMul", operands, "product"), 0.2137, 7))
    x = {name: floats(shape, seed) for seed, (name, shape) in enumerate(zip("ab", shapes, strict=True))}
    graph, differing = check_against_runtime(model, tmp_path, x)
    assert differing == 0
    assert sum(isinstance(node, MatrixProduct) for node in graph.nodes) == 1


def attention(heads: int, tokens: int, depth: int) -> Model:
    """Projections, heads by Reshape and Transpose, q · kᵀ · number, its product with v, a projection; no softmax."""
    model, rng, width = Model(), np.random.default_rng(heads), heads * depth
    x = model.qdq(model.input((tokens, width), "x"), 0.0513, 3)

    def project(source: str, name: str) -> str:
        codes = rng.integers(-127, 128, (width, width))
        return model.qdq(
            model.node("MatMul", [source, model.weight(codes, 0.0107)], name), 0.1033, int(rng.integers(-9, 9))
        )

    def heads_of(source: str, *order: int) -> str:
        shape = model.constant(np.array([0, tokens, heads, depth]), "int64")
        return model.node("Transpose", [model.node("Reshape", [source, shape])], perm=list(order))

    q, k, v = (project(x, name) for name in "qkv")
    scores = model.node("MatMul", [heads_of(q, 0, 2, 1, 3), heads_of(k, 0, 2, 3, 1)], "scores")
    scores = model.qdq(model.node("Mul", [scores, model.constant(depth**-0.5)]), 0.3, -5)
    mixed = model.qdq(model.node("MatMul", [scores, heads_of(v, 0, 2, 1, 3)], "mixed"), 0.7, 11)
    rows = model.node("Transpose", [mixed], perm=[0, 2, 1, 3])
    rows = model.node("Reshape", [rows, model.constant(np.array([0, tokens, width]), "int64")])
    model.output(project(rows, "out"))
    return model


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention(tmp_path: Path, heads: int) -> None:
    """kᵀ is no layer: the product takes it transposed; heads are views of the channels."""
    tokens, depth = 5, 6
    graph, differing = check_against_runtime(
        attention(heads, tokens, depth), tmp_path, {"x": floats((tokens, heads * depth), 3)}
    )
    assert differing <= 2
    products = [node for node in graph.nodes if isinstance(node, MatrixProduct)]
    assert [(node.a_transposed, node.b_transposed) for node in products] == [(False, True), (False, False)]
    read = {*graph.outputs.values(), *(name for node in graph.nodes for name in node.inputs)}
    kinds = Counter(type(node).__name__ for node in graph.nodes if node.name in read)
    if heads > 1:
        # Of q, k, v and of what comes back a regrouping and an order; and the two ends of the sequence.
        assert kinds == {"Convolution": 4, "MatrixProduct": 2, "Reshape": 4, "Transpose": 6}
    sample = floats((tokens, heads * depth), 5)[:1]
    found = run_graph(graph, {"x": sample}, every=True)
    first = graph.inputs[0]
    quantized = np.clip(np.round(sample[0] / np.float32(first.scale)) + first.zero_point, -128, 127).astype(np.int8)
    expected = graph_oracle.run(graph, {first.name: np.ascontiguousarray(quantized.T)})
    for node in products:
        np.testing.assert_array_equal(found[node.name][0], np.moveaxis(expected[node.name][0], -1, 0))


def grouped_attention(heads: int, kept: int, tokens: int, depth: int, repeated: bool) -> Model:
    """q · kᵀ and its product with v; `kept` heads of k and v follow themselves, with `repeated` those of q, too."""
    model, rng, width = Model(), np.random.default_rng(heads), heads * depth
    x = model.qdq(model.input((tokens, width), "x"), 0.0513, 3)

    def heads_of(name: str, count: int, again: bool) -> str:
        codes = rng.integers(-127, 128, (width, count * depth))
        made = model.node("MatMul", [x, model.weight(codes, 0.0107)], name)
        made = model.qdq(made, 0.1033, int(rng.integers(-9, 9)))
        made = model.node("Reshape", [made, model.constant(np.array([0, tokens, count, depth]), "int64")])
        made = model.node("Transpose", [made], perm=[0, 2, 1, 3])
        if again:
            made = model.node("Unsqueeze", [made, model.constant(np.array([2]), "int64")])
            shape = [1, kept, heads // kept, tokens, depth]
            made = model.node("Expand", [made, model.constant(np.array(shape), "int64")])
            made = model.node("Reshape", [made, model.constant(np.array([0, heads, tokens, depth]), "int64")])
        return made

    q = heads_of("q", kept if repeated else heads, repeated)
    k, v = (heads_of(name, kept, True) for name in "kv")
    k = model.node("Transpose", [k], perm=[0, 1, 3, 2])
    scores = model.qdq(model.node("MatMul", [q, k], "scores"), 0.917, -5)
    model.output(model.qdq(model.node("MatMul", [scores, v], "mixed"), 1.713, 11))
    return model


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("heads", "kept"), [(4, 2), (3, 1), (6, 3)])
def test_grouped_heads_are_read_as_they_are(tmp_path: Path, heads: int, kept: int, repeated: bool) -> None:
    tokens, depth = 4, 3
    model = grouped_attention(heads, kept, tokens, depth, repeated)
    graph, differing = check_against_runtime(model, tmp_path, {"x": floats((tokens, heads * depth), 1)})
    assert differing <= 1
    tensors = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
    products = [node for node in graph.nodes if isinstance(node, MatrixProduct)]
    assert [node.shape[0] for node in products] == [heads, heads]
    assert [tensors[node.inputs[1]].shape[0] for node in products] == [kept, kept]


def test_heads_out_of_one_projection(tmp_path: Path) -> None:
    """q, k and v as slices of one layer's channels: nothing is copied but what the second operand needs."""
    heads, tokens, depth = 2, 5, 6
    model, rng, width = Model(), np.random.default_rng(0), 12
    x = model.qdq(model.input((tokens, width), "x"), 0.0513, 3)
    made = model.node("MatMul", [x, model.weight(rng.integers(-127, 128, (width, 3 * width)), 0.0107)], "qkv")
    made = model.qdq(made, 0.1033, 5)

    def heads_of(first: int, *order: int) -> str:
        limits = (model.constant(np.array([n]), "int64") for n in (first, first + width, 2))
        part = model.node("Slice", [made, *limits])
        shape = model.constant(np.array([0, tokens, heads, depth]), "int64")
        return model.node("Transpose", [model.node("Reshape", [part, shape])], perm=list(order))

    q, k, v = heads_of(0, 0, 2, 1, 3), heads_of(width, 0, 2, 3, 1), heads_of(2 * width, 0, 2, 1, 3)
    scores = model.qdq(model.node("MatMul", [q, k], "scores"), 0.917, -5)
    model.output(model.qdq(model.node("MatMul", [scores, v], "mixed"), 1.713, 11))
    inputs = {"x": floats((tokens, width), 1)}
    graph, differing = check_against_runtime(model, tmp_path, inputs)
    assert differing == 0
    products = [node for node in graph.nodes if isinstance(node, MatrixProduct)]
    assert [(node.a_transposed, node.b_transposed) for node in products] == [(False, True), (False, False)]
    config = AcceleratorConfig(rows=4, columns=4, weight_zero_points=True)
    program = compile_graph(graph, config)
    assert set(program.layers) == {"qkv/codes", "scores/codes", "mixed/codes", ""}
    (expected,), (found,) = run_graph(graph, inputs).values(), Machine(config).run(program, inputs).outputs.values()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(6))
def test_qlinear_matmul_is_onnx_runtimes_exact_integers(tmp_path: Path, seed: int) -> None:
    """Sums by MatMulInteger, which are exact; scales are such that no quotient is near a tie by rounding alone."""
    rng = np.random.default_rng(seed)
    heads, m, k, n = (int(rng.integers(1, 6)) for _ in range(4))
    shapes = {"a": (heads, m, k), "b": (heads, k, n)}
    zeros = {name: int(rng.integers(-100, 100)) for name in shapes}
    model, inputs = Model(), []
    for name, shape in shapes.items():
        codes = model.quantize(model.input(shape, name), 0.25, zeros[name])
        inputs += [codes, model.constant(0.25), model.constant(zeros[name], "int8")]
    inputs += [model.constant(16.0), model.constant(4, "int8")]
    model.output(model.node("QLinearMatMul", inputs, "product"))
    graph = load_onnx(model.save(tmp_path))
    given = {name: rng.integers(-128, 128, (2, *shape)).astype(np.int8) for name, shape in shapes.items()}
    parts = [helper.make_tensor_value_info(name, TensorProto.INT8, [2, *shapes[name]]) for name in "ab"]
    points = [helper.make_tensor(f"z{name}", TensorProto.INT8, [], [zeros[name]]) for name in "ab"]
    output = helper.make_tensor_value_info("y", TensorProto.INT32, [2, heads, m, n])
    nodes = [helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])]
    sums_of = helper.make_graph(nodes, "sums", parts, [output], points)
    proto = helper.make_model(sums_of, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, given)
    expected = np.clip(np.rint(sums.astype(np.float64) / 256) + 4, -128, 127)  # powers of 2: exact, ties to even
    real = {name: (codes.astype(np.float32) - zeros[name]) * np.float32(0.25) for name, codes in given.items()}
    (ours,) = run_graph(graph, real).values()
    np.testing.assert_array_equal(ours, expected)


def two(model: Model, shapes: tuple[tuple[int, ...], tuple[int, ...]], op: str = "MatMul") -> Model:
    operands = [model.qdq(model.input(shape, name), 0.05) for name, shape in zip("ab", shapes, strict=True)]
    model.output(model.qdq(model.node(op, operands, "layer"), 0.1))
    return model


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (((3, 4), (2, 4, 5)), "two activations must have equally many axes, 2 to 7 behind the batch"),
        (((4,), (4,)), "two activations must have equally many axes, 2 to 7 behind the batch"),
        (((3, 4), (5, 2)), "b must have 4 rows, one per column of a, not 5"),
        (((4, 3, 4), (2, 4, 2)), "the heads of two activations must be equally many, or one, not (4,) and (2,)"),
    ],
)
def test_shapes_that_are_refused(tmp_path: Path, shapes: tuple, text: str) -> None:
    model = two(Model(), shapes)
    refused(model, tmp_path, "MatMul 'layer'")
    refused(model, tmp_path, text)


def test_codes_that_are_no_weights(tmp_path: Path) -> None:
    model = two(Model(), ((3, 4), (4, 5)))
    arithmetic = Arithmetic(weight_bits=4)
    refused(
        model,
        tmp_path,
        "weights, which must be from -8 to 7 (weight_bits = 4), not from -128 to 127",
        arithmetic=arithmetic,
    )


def test_other_operators_need_constant_weights(tmp_path: Path) -> None:
    refused(two(Model(), ((4,), (4,)), "Gemm"), tmp_path, "of two activations only a MatMul is supported")
