"""What ``import emulator`` brings in, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import emulator


def test_imports_neither_torch_nor_amaranth_nor_numba() -> None:
    code = (
        "import sys, emulator; others = {'torch', 'amaranth', 'numba', 'onnx', 'onnxruntime', 'scipy'}; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & others))"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_runs_without_numba() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, emulator\n"
        "x = np.full((1, 8), -128, np.int8)\n"
        "print(emulator.accumulate(x, x.T, [0], emulator.Arithmetic(accumulator_bits=16)))"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "(array([[32767]]), array([[ True]]))"


def test_public_names_exist_and_are_sorted() -> None:
    assert all(hasattr(emulator, name) for name in emulator.__all__)
    assert len(set(emulator.__all__)) == len(emulator.__all__)
