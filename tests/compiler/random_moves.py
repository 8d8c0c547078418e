"""Random chains of the operators that only move codes."""

from __future__ import annotations

import numpy as np

from tests.compiler.models import Model

SX = 0.03125
KINDS = ("Reshape", "Reshape", "Transpose", "Slice", "Concat", "Pad", "QDQ")


def moved(model: Model, op: str, x: str, *integers: object, **attributes: object) -> str:
    """A node with constant integers behind its first input."""
    inputs = [x, *(model.constant(values, "int64") for values in integers)]
    return model.node(op, inputs, f"{op.lower()}{len(model.nodes)}", **attributes)


def shapes_of(size: int, rng: np.random.Generator) -> list[int]:
    """One to three factors of `size`."""
    factors = []
    for _ in range(int(rng.integers(0, 3))):
        divisors = [n for n in range(1, size + 1) if size % n == 0]
        factors.append(int(rng.choice(divisors)))
        size //= factors[-1]
    return [*factors, size]


def random_moves(seed: int) -> tuple[Model, list[int], list[int]]:
    """Reshapes among 2 to 4 axes, transposes, slices, pads and joins with itself, with a QDQ pair here and there.

    Returns the model, and the shapes of its input and its output without the batch axis.
    """
    rng = np.random.default_rng(seed)
    shape = [int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4)))]
    model, first = Model(), list(shape)
    y = model.qdq(model.input(tuple(shape)), SX, 7)
    for _ in range(5):
        kind = str(rng.choice(KINDS))
        axis = int(rng.integers(1, len(shape) + 1))
        if kind == "Reshape":
            shape = shapes_of(int(np.prod(shape)), rng)
            y = moved(model, kind, y, [-1 if seed % 2 else 0, *shape])
        elif kind == "Transpose":
            order = rng.permutation(len(shape)).tolist()
            shape = [shape[i] for i in order]
            y = moved(model, kind, y, perm=[0, *(i + 1 for i in order)])
        elif kind == "Slice":
            size = shape[axis - 1]
            start, step = int(rng.integers(0, size)), int(rng.integers(1, 3))
            shape[axis - 1] = -(-(size - start) // step)
            y = moved(model, kind, y, [start - size if start else 0], [1 << 40], [axis - len(shape) - 1], [step])
        elif kind == "Concat" and np.prod(shape) < 100:
            y = model.node(kind, [y, y], f"join{len(model.nodes)}", axis=axis)
            shape[axis - 1] *= 2
        elif kind == "Pad" and axis > 1:
            pads = [0] * (2 * len(shape) + 2)
            pads[axis], pads[axis + len(shape) + 1] = 1, 2
            y = moved(model, kind, y, pads)
            shape[axis - 1] += 3
        elif kind == "QDQ":
            y = model.qdq(y, SX, 7)
    model.output(model.qdq(y, SX, 7))
    return model, first, shape
