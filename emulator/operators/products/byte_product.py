"""Exact matrix products of bytes by ONNX Runtime's integer kernels (VNNI, AMX, AVX2, NEON), where they prove exact.

MatMulInteger has kernels for each pair of types, and they differ from processor to processor. On x86 without VNNI the
one for uint8 · int8 adds two products in 16 bits, saturating: 255 · 127 + 255 · 127 becomes 32767. So the first use
multiplies extreme and random bytes with each pair of types, the fastest first, and takes the first pair whose products
are exact. Without ONNX Runtime, or where no pair is exact, there is no byte product.

Of ONNX Runtime 1.31 on x86, and how fast they are beside each other:

| processor | uint8 · int8 | uint8 · uint8 | int8 · int8 |
|---|---|---|---|
| AVX-512 with VNNI | exact | exact, 2.5 times slower | exact, 11 times slower |
| AVX2 (QEMU 7.2's Haswell) | saturates in 16 bits | exact | exact |
| SSE4 (QEMU 7.2's Nehalem) | exact | exact | exact |
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared.optional_library import ONNX_RUNTIME

Bytes = NDArray[np.uint8]
Run = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.int32]]

FLIP = np.uint8(128)
"""Code + 128 as uint8 is the code's byte with this bit flipped."""
PAIRS = (("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8"))
"""Of types of the left and the right operand, the fastest first."""
MAX_STEPS = 1 << 16  # of K: 2^16 · 255 · 128 < 2^31
CHECKED_SHAPES = ((1, 70, 33), (3, 5, 1), (40, 1030, 70), (7, 259, 16))  # M, K, N: rows, depths and columns left over


class ByteProduct:
    """``(x + 128) · w`` of int8 codes, exact in int32.

    run : the library's product of a left (M, K) and a right operand (K, N) of the types `pair`
    """

    def __init__(self, run: Run, pair: tuple[str, str]) -> None:
        self.pair = pair
        self._run = run

    def __call__(self, left: Bytes, w: NDArray[np.int8]) -> NDArray[np.int32]:
        """left : (M, K) uint8, codes + 128; w : (K, N) int8, K at most `MAX_STEPS` → (M, N) int32, Σ_k left · w."""
        if self.pair == ("uint8", "int8"):
            return self._run(left, w)
        # Another bias of an operand adds a multiple of the other operand's sums, modulo 2^32.
        if self.pair == ("uint8", "uint8"):
            product = self._run(left, w.view(np.uint8) ^ FLIP)
            product -= left.sum(axis=1, dtype=np.int32)[:, None] << 7
        else:
            product = self._run((left ^ FLIP).view(np.int8), w)
            product += w.sum(axis=0, dtype=np.int32) << 7
        return product

    def column_sums(self, w: NDArray[np.int8]) -> NDArray[np.int64]:
        """Σ_k w, (N,), for w as in a product."""
        sums: NDArray[np.int64] = self(np.ones((1, w.shape[0]), np.uint8), w)[0].astype(np.int64)
        return sums


def byte_product(steps: int) -> ByteProduct | None:
    """The byte product if one is exact here and `steps` = M·K·N products are worth it, otherwise None."""
    return _exact_product() if ONNX_RUNTIME.pays(steps) else None


def flipped(codes: NDArray[np.int8]) -> Bytes:
    """codes + 128, as uint8."""
    result: Bytes = np.bitwise_xor(codes.view(np.uint8), FLIP)
    return result


def transposed(w: NDArray[np.int8]) -> NDArray[np.int8]:
    """w (N, K) as a contiguous array (K, N), by the library's kernel: six times as fast as NumPy's copy."""
    return np.asarray(_session("Transpose", ("int8",), "int8")({"a": w}), np.int8)


@functools.cache
def _exact_product() -> ByteProduct | None:
    try:
        importlib.import_module("onnxruntime")
    except ImportError:  # installed, but not for this system
        return None
    for pair in PAIRS:
        product = ByteProduct(_library_product(pair), pair)
        if _is_exact(product):
            return product
    return None


def _is_exact(product: Callable[[Bytes, NDArray[np.int8]], NDArray[np.int32]]) -> bool:
    """Whether `product` is exact on extreme and random bytes of several shapes; takes some 20 ms."""
    generator = np.random.default_rng(0)
    for rows, depth, columns in CHECKED_SHAPES:
        lefts = [np.full((rows, depth), value, np.uint8) for value in (255, 128, 0)]
        lefts += [generator.choice(np.array([0, 255], np.uint8), (rows, depth))]
        lefts += [generator.integers(0, 256, (rows, depth), np.uint8)]
        rights = [np.full((depth, columns), value, np.int8) for value in (127, -128)]
        rights += [generator.choice(np.array([-128, 127], np.int8), (depth, columns))]
        rights += [generator.integers(-128, 128, (depth, columns), np.int8)]
        # One product checks all pairs of operands: those of the left stacked by rows, of the right by columns.
        left, right = np.concatenate(lefts), np.concatenate(rights, axis=1)
        found = product(left, right)
        if not np.array_equal(found, _exact(left, right)):
            return False
        if not all(np.array_equal(product(some, right), found[i * rows :][:rows]) for i, some in enumerate(lefts)):
            return False
    return True


def _exact(left: Bytes, right: NDArray[np.int8]) -> NDArray[np.int64]:
    """The product in float64, which holds every integer up to 2^53, so in any order of the sums."""
    product: NDArray[np.float64] = left.astype(np.float64) @ right.astype(np.float64)
    return product.astype(np.int64)


def _library_product(pair: tuple[str, str]) -> Run:
    run = _session("MatMulInteger", pair, "int32")
    return lambda left, right: run({"a": left, "b": right})


@functools.cache
def _session(operator: str, inputs: tuple[str, ...], output: str) -> Callable[[dict[str, NDArray[Any]]], NDArray[Any]]:
    """ONNX Runtime's kernel of `operator` with inputs a, b, …, matrices of those types.

    It runs on the caller's thread alone, so that callers can run several of them at a time.
    """
    runtime, helper = importlib.import_module("onnxruntime"), importlib.import_module("onnx.helper")
    names = "ab"[: len(inputs)]

    def value(name: str, dtype: str) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None, None])

    node = helper.make_node(operator, [*names], ["y"], **({"perm": [1, 0]} if operator == "Transpose" else {}))
    values = [value(name, dtype) for name, dtype in zip(names, inputs, strict=True)]
    graph = helper.make_graph([node], operator, values, [value("y", output)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
        result: NDArray[Any] = session.run(None, arrays)[0]
        return result

    return run
