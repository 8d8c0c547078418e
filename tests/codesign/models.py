"""A model small enough to run in milliseconds, and files around it, for the command line's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.compiler.models import Model

SHAPE = (2, 6, 6)


def small_model(folder: Path, **arithmetic: object) -> Path:
    """``model.onnx`` in `folder`: Conv + Relu, max pool, Flatten, Gemm; from ``input`` (batch, 2, 6, 6) to ``output``.

    arithmetic : fields of the file's metadata that differ from the default
    """
    rng = np.random.default_rng(7)
    model = Model()
    x = model.qdq(model.input(SHAPE), 0.02, 3)
    y = model.node("Conv", [x, model.weight(rng.integers(-127, 128, (4, 2, 3, 3)), 0.01)], "conv", pads=[1, 1, 1, 1])
    y = model.qdq(model.node("Relu", [y]), 0.05, -128)
    y = model.qdq(model.node("MaxPool", [y], "pool", kernel_shape=[2, 2], strides=[2, 2]), 0.05, -128)
    y = model.node("Flatten", [y], "flatten")
    y = model.qdq(model.node("Gemm", [y, model.weight(rng.integers(-127, 128, (5, 36)), 0.01)], "fc", transB=1), 0.1)
    model.nodes[-1].output[0] = "output"
    model.output("output")
    if arithmetic:
        fields = {
            "activation_bits": 8, "weight_bits": 8, "accumulator_bits": 32, "overflow": "saturate",
            "multiplier_bits": 24, "rounding": "half_even",
        }  # fmt: skip
        model.arithmetic(**fields | arithmetic)
    return model.save(folder)


def small_inputs(folder: Path, **arrays: np.ndarray) -> Path:
    """``x.npz`` in `folder` with these arrays, or five random float images named ``input``."""
    rng = np.random.default_rng(8)
    file = folder / "x.npz"
    np.savez(file, **(arrays or {"input": rng.normal(size=(5, *SHAPE)).astype(np.float32)}))
    return file


def small_config(folder: Path, text: str = "rows = 4\ncolumns = 4\n") -> Path:
    """``c.toml`` in `folder`."""
    file = folder / "c.toml"
    file.write_text(text)
    return file
