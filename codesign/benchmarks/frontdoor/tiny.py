"""MLPerf Tiny's five int8 files against TFLM and LiteRT, then on the machine and in RTL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from compiler import compile_graph, load_model
from emulator.arithmetic import Arithmetic
from emulator.config import KIB, AcceleratorConfig
from emulator.graph.run import run_graph
from emulator.machine import Machine

from ...inputs import random_codes
from ...validate import validate
from ..rows import row

NETWORKS = ("autoencoder", "dscnn", "mobilenet", "resnet8", "wakeword")
INPUTS = 100
PRODUCTS = ("Convolution", "Linear")
CONFIG = AcceleratorConfig(
    rows=16,
    columns=16,
    activation_scratchpad_bytes=104 * KIB,
    weight_scratchpad_bytes=88 * KIB,
    operand_scratchpad_bytes=32 * KIB,
    output_scratchpad_bytes=32 * KIB,
    accumulator_bytes=64 * KIB,
    bus_bytes=16,
    arithmetic=Arithmetic.tflm(),
)


@dataclass(frozen=True)
class Compared:
    """Numbers of output codes, and of those that differ."""

    codes: int = 0
    differing: int = 0

    def plus(self, a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> Compared:
        """With the outputs `a` and `b` of the same names compared too; a missing name is a ``KeyError``."""
        differing = sum(int((a[name] != b[name]).sum()) for name in a)
        return Compared(self.codes + sum(array.size for array in a.values()), self.differing + differing)


def rows(folder: Path | None, rtl: bool) -> list[dict[str, Any]]:
    """Rows of TFLM, the machine and, with `rtl`, of Verilator; "not run" without `folder` or a package.

    folder : holds ``mlperf_tiny_NAME.tflite`` of each of `NETWORKS`
    """
    titles = {
        "tflm": f"MLPerf Tiny, {INPUTS} inputs each: output codes that differ from TFLM's",
        "machine": "MLPerf Tiny, 1 input each: output codes of the machine that differ",
        "rtl": "MLPerf Tiny, 1 input each: output codes of the RTL in Verilator that differ",
    }
    absent = _absent(folder)
    if absent is not None:
        return [row(title, f"not run: {absent}", "codes", "= 0") for title in titles.values()]
    assert folder is not None
    compared = dict.fromkeys(titles, Compared())
    for name in NETWORKS:
        for way, more in _network(folder / f"mlperf_tiny_{name}.tflite", rtl).items():
            compared[way] = compared[way].plus(*more)
    table = [
        row(f"{title}, of {found.codes}", found.differing, "codes", "= 0", found.differing == 0)
        if found.codes
        else row(title, "not run: --rtl asks for it", "codes", "= 0")
        for title, found in ((titles[way], compared[way]) for way in titles)
    ]
    return table + _litert(folder)


def _litert(folder: Path) -> list[dict[str, Any]]:
    """Convolutions and fully connected layers on equal inputs, against LiteRT's default resolver."""
    title = "MLPerf Tiny, default arithmetic: codes of products that differ from LiteRT's, by 10⁶"
    if find_spec("ai_edge_litert") is None:
        return [row(title, "not run: the package ai_edge_litert is absent", "codes", "≤ 1")]
    found = [validate(folder / f"mlperf_tiny_{name}.tflite", images=INPUTS, against="litert") for name in NETWORKS]
    layers = [layer for report in found for layer in report.reference if layer.operator in PRODUCTS]
    compared, differing = sum(layer.compared for layer in layers), sum(layer.differing for layer in layers)
    outputs = [output for report in found for output in report.outputs]
    final = f"MLPerf Tiny, default arithmetic: output codes that differ, of {sum(o.compared for o in outputs)}"
    millions = differing / compared * 1e6
    return [
        row(f"{title}, {differing} of {compared}", millions, "codes", "≤ 1", millions <= 1),
        row(f"{final}, by up to {max(o.largest for o in outputs):.0f}", sum(o.differing for o in outputs), "codes"),
    ]


def _absent(folder: Path | None) -> str | None:
    if folder is None:
        return "no folder of the files is given"
    for name in NETWORKS:
        if not (folder / f"mlperf_tiny_{name}.tflite").is_file():
            return f"{folder} has no mlperf_tiny_{name}.tflite"
    try:
        for package in ("tflite", "tflite_micro"):
            import_module(package)
    except ModuleNotFoundError as error:
        return f"the package {error.name} is absent"
    return None


def _network(path: Path, rtl: bool) -> dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    from ...peers.tflm import run_tflm

    graph = load_model(path, Arithmetic.tflm())
    inputs = random_codes(graph, INPUTS)
    expected = run_graph(graph, inputs)
    pairs = {"tflm": (run_tflm(path, inputs), expected)}
    one = {name: codes[:1] for name, codes in inputs.items()}
    first = {name: codes[:1] for name, codes in expected.items()}
    program = compile_graph(graph, CONFIG)
    pairs["machine"] = (first, Machine(CONFIG).run(program, one).outputs)
    if rtl:
        from rtl import simulate

        pairs["rtl"] = (first, simulate(program, CONFIG, one).outputs)
    return pairs
