"""Models of one layer by rows against the real numbers of their input codes, and beside ONNX Runtime's float kernels.

``python -m tests.compiler.onnx.row_models`` prints, for each kind, how many codes differ from ONNX Runtime's and which
of both is nearer to the real value.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.benchmarks.row_accuracy import real_norm, real_softmax
from compiler import load_onnx
from emulator import Graph, run_graph
from tests.compiler.models import Model, runtime

SX = float(np.float32(0.05))
Build = Callable[[Model, str], str]
Rows = list[list[Decimal]]
Real = Callable[[NDArray[np.int64]], Rows]
"""Rows (count, N) of x − zx to the real numbers of each, in Python's decimals."""


def one_layer(build: Build, shape: tuple[int, ...], scale: float, zero: int, x_zero: int = 7, **options) -> Model:
    """Input (batch, *shape) → QDQ → what `build` adds → QDQ → output; kind : of all codes, int8 or uint8."""
    kind = options.pop("kind", "int8")
    offset = 128 if kind == "uint8" else 0
    model = Model(**options)
    y = build(model, model.qdq(model.input(shape), SX, x_zero + offset, kind))
    model.output(model.qdq(y, scale, zero + offset, kind))
    return model


@dataclass
class Found:
    """differing : codes that are not ONNX Runtime's; nearer : of these, how many are nearer to the real value than its
    error, theirs : largest distances from the real value, in codes
    """

    graph: Graph
    codes: int
    differing: int
    nearer: int
    largest: int
    error: float
    theirs: float


def compare(
    model: Model, x: NDArray[np.float32], real: Real, axis: int = -1, x_zero: int = 7, folder: Path | None = None
) -> Found:
    """What `run_graph` makes of the file, ONNX Runtime without its optimizations, and the real values."""
    with tempfile.TemporaryDirectory() as made:
        graph = load_onnx(model.save(folder or Path(made)))
    quantizers = [node for node in model.nodes if node.op_type == "QuantizeLinear"]
    given, theirs = runtime(model, [quantizers[0].output[0], quantizers[-1].output[0]], {"input": x})
    offset = 128 if given.dtype == np.uint8 else 0
    (ours,) = run_graph(graph, {"input": x}).values()
    ours, theirs = ours.astype(np.int64), theirs.astype(np.int64) - offset
    values = np.moveaxis(given.astype(np.int64) - offset - x_zero, axis, -1)
    rows = real(values.reshape(-1, values.shape[-1]))
    tensor = graph.nodes[-1]
    with localcontext(prec=50):
        step, low, high = Decimal(tensor.scale), Decimal(-128), Decimal(127)
        flat = [min(max(v / step + tensor.zero_point, low), high) for row in rows for v in row]
        mine, others = (
            [abs(code - v) for code, v in zip(np.moveaxis(codes, axis, -1).ravel().tolist(), flat, strict=True)]
            for codes in (ours, theirs)
        )
    differing = np.flatnonzero(np.moveaxis(ours != theirs, axis, -1).ravel())
    return Found(
        graph,
        ours.size,
        differing.size,
        sum(mine[index] < others[index] for index in differing),
        int(np.abs(ours - theirs).max()),
        float(max(mine)),
        float(max(others)),
    )


def softmax_rows(mask: NDArray[np.int8] | None = None, beta: float = 1.0) -> Real:
    """Of scores beta · sx · x; mask : broadcasts to (heads or so, rows, N) of one sample."""

    def rows(values: NDArray[np.int64]) -> Rows:
        counts = np.ones_like(values) if mask is None else np.resize(mask.reshape(-1, mask.shape[-1]), values.shape)
        return [real_softmax(*pair, SX, beta) for pair in zip(values.tolist(), counts.tolist(), strict=True)]

    return rows


def norm_rows(gamma: NDArray[np.float32], beta: NDArray[np.float32], epsilon: float, centered: bool) -> Real:
    """Of γ, β and ε as the file has them."""
    arguments = SX, gamma.astype(np.float64).tolist(), beta.astype(np.float64).tolist(), epsilon, centered
    return lambda values: [real_norm(row, *arguments) for row in values.tolist()]


def tokens(shape: tuple[int, ...], seed: int, batch: int = 3) -> NDArray[np.float32]:
    """Rows of uneven spread, one of them constant, with an outlier channel."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (batch, *shape)) * np.exp(rng.uniform(-2, 1.5, (batch, *shape[:-1], 1)))
    x[..., 0] *= 5
    x.reshape(-1, shape[-1])[0] = 0.3
    return x.astype(np.float32)


def norm_model(op: str, shape: tuple[int, ...], constants: list[NDArray[np.float32]], **options) -> Model:
    """LayerNormalization or RMSNormalization with γ, and β where there is one."""
    return one_layer(lambda m, y: m.node(op, [y, *map(m.constant, constants)], "norm"), shape, 0.03, 5, **options)


def main() -> None:
    rng = np.random.default_rng(1)
    totals: dict[str, list[Found]] = {}
    for seed in range(8):
        shape = (3, int(rng.integers(1, 9)), int(rng.choice([16, 64, 197, 512])))
        x = tokens(shape, seed)
        soft = one_layer(lambda m, y: m.node("Softmax", [y], "soft"), shape, 1 / 256, -128)
        totals.setdefault("Softmax", []).append(compare(soft, x, softmax_rows()))
        gamma, beta = (rng.normal(0, spread, shape[-1]).astype(np.float32) for spread in (1.0, 0.3))
        for kind, bias in (("LayerNormalization", [beta]), ("RMSNormalization", [])):
            model = norm_model(kind, shape, [gamma, *bias], opset=23)
            real = norm_rows(gamma, bias[0] if bias else 0 * beta, float(np.float32(1e-5)), kind[0] == "L")
            totals.setdefault(kind, []).append(compare(model, x, real))
    for kind, found in totals.items():
        codes, differing, nearer = (sum(getattr(f, name) for f in found) for name in ("codes", "differing", "nearer"))
        largest, error, theirs = (max(getattr(f, name) for f in found) for name in ("largest", "error", "theirs"))
        print(
            f"{kind}: {codes} codes, {differing} differ from ONNX Runtime by {largest}; {nearer} of these are nearer "
            f"to the real value; largest error {error:.5f}, ONNX Runtime's {theirs:.5f}"
        )


if __name__ == "__main__":
    main()
