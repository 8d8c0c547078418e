"""Speed of exact emulation: whole networks over ONNX Runtime, and `emulator.accumulate` over NumPy's own products.

All are ratios of what is measured in the same run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from emulator import Arithmetic, accumulate

from . import network_speed
from .rows import interleaved, median_ratio, row

SIZE = 1024
ROUNDS = 7
SEED = 1
ZERO_POINTS = (0, -128)
MEBIBYTE = 1 << 20

# (rows, depth, columns, accumulator bits): tall, wide and deep shapes, plain products and walks
MEMORY_SHAPES = (
    (16384, 1024, 4096, 32),
    (256, 1024, 65536, 32),
    (64, 1 << 20, 64, 32),
    (16384, 256, 4096, 16),
    (64, 1 << 20, 64, 16),
)

# Peak resident memory also sees what libraries allocate for themselves, which tracemalloc does not; it needs a process
# of its own, in which nothing else has set the mark before. Linux hands getrusage's mark on to a child, but not VmHWM.
# Flags that are all False may lie on pages never touched, so they are not counted as outputs then.
MEMORY_SCRIPT = """
import json, re, resource, sys
import numpy as np
from emulator import Arithmetic, accumulate

def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

rows, depth, columns, bits = json.loads(sys.argv[1])
generator = np.random.default_rng(1)
arithmetic = Arithmetic(accumulator_bits=bits)
small = generator.integers(-128, 128, (64, 64), dtype=np.int8)
accumulate(small, small, np.zeros(64, np.int64), arithmetic)
x = generator.integers(-128, 128, (rows, depth), dtype=np.int8)
w = generator.integers(-128, 128, (depth, columns), dtype=np.int8)
bias = generator.integers(-1000, 1000, columns)
before = peak()
acc, overflowed = accumulate(x, w, bias, arithmetic, -128)
print(peak() - before - acc.nbytes - (overflowed.nbytes if overflowed.any() else 0))
"""


def rows() -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes about two minutes on two cores.

    All times of one round are taken one after the other, and a value is the median of the rounds' ratios, so that a
    machine that slows down for a while slows both sides of a ratio.
    """
    return [*network_speed.rows(), *_speed_rows(), *_memory_rows()]


def _speed_rows() -> list[dict[str, Any]]:
    generator = np.random.default_rng(SEED)
    x = generator.integers(-128, 128, (SIZE, SIZE), dtype=np.int8)
    w = generator.integers(-128, 128, (SIZE, SIZE), dtype=np.int8)
    bias = generator.integers(-(1 << 15), 1 << 15, SIZE)
    wide, narrow = Arithmetic(accumulator_bits=32), Arithmetic(accumulator_bits=16)
    x_float, w_float, x_int, w_int = x.astype(np.float32), w.astype(np.float32), x.astype(np.int32), w.astype(np.int32)
    calls: dict[str, Callable[[], Any]] = {"float32": lambda: x_float @ w_float}
    for zero in ZERO_POINTS:
        calls[f"32 bits, zx = {zero}"] = lambda zero=zero: accumulate(x, w, bias, wide, zero)
    calls_16: dict[str, Callable[[], Any]] = {"int32": lambda: x_int @ w_int}
    for zero in ZERO_POINTS:
        calls_16[f"16 bits, zx = {zero}"] = lambda zero=zero: accumulate(x, w, bias, narrow, zero)

    table = []
    times = interleaved(calls, ROUNDS)
    for zero in ZERO_POINTS:
        ratio = median_ratio(times[f"32 bits, zx = {zero}"], times["float32"])
        name = f"accumulate 1024³, 32 bits, zx = {zero}: time over NumPy's float32 @"
        table.append(row(name, ratio, "×", "≤ 1.5", ratio <= 1.5))
    times = interleaved(calls_16, ROUNDS)
    for zero in ZERO_POINTS:
        key = f"16 bits, zx = {zero}"
        share = 100 * float(calls_16[key]()[1].mean())
        ratio = median_ratio(times["int32"], times[key])
        name = f"accumulate 1024³, 16 bits saturating, zx = {zero}: speed over NumPy's int32 @"
        table.append(row(name, ratio, "×", "≥ 30", ratio >= 30))
        table.append(row(f"outputs of it that overflow, zx = {zero}", share, "%", "≥ 10", share >= 10))
    return table


def _memory_rows() -> list[dict[str, Any]]:
    table = []
    for shape in MEMORY_SHAPES:
        command = [sys.executable, "-c", MEMORY_SCRIPT, json.dumps(shape)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        beyond = max(0.0, int(result.stdout) / MEBIBYTE)
        m, k, n, bits = shape
        name = f"accumulate {m}×{k}×{n}, {bits} bits: memory beyond inputs and outputs"
        table.append(row(name, beyond, "MiB", "≤ 256", beyond <= 256))
    return table
