"""``python -m codesign.benchmarks.frontdoor.generate``: quantized files of every family, by the quantizers at hand.

It needs torch, onnx, onnxruntime and the quantizer's own packages only, and so runs in an environment of that
quantizer's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import onnxruntime

from .families import FAMILIES, Family
from .quantizers import QUANTIZERS

FAILURES = "failures.json"
"""In a quantizer's folder: {family: the error of the quantizer itself}."""


def generate(quantizer: str, families: Sequence[str], folder: Path) -> dict[str, str]:
    """Write ``folder/quantizer/FAMILY.onnx``; returns {family: error} of those that the quantizer itself failed at.

    Raises ``ImportError`` if the quantizer's packages are absent.
    """
    quantize = import_module(f"{__package__}.quantizers.{QUANTIZERS[quantizer]}").quantize
    target = folder / quantizer
    target.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    for name in families:
        path = target / f"{name}.onnx"
        printed = io.StringIO()
        start = time.perf_counter()
        try:
            with contextlib.redirect_stdout(printed):
                quantize(quantizer, FAMILIES[name], path)
            runs(path, FAMILIES[name])
        except Exception as error:  # whatever a quantizer raises is its own fault, and recorded as such
            failures[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"[:300]
            path.unlink(missing_ok=True)
        print(f"{quantizer} {name} {time.perf_counter() - start:.1f} s {failures.get(name, '')}", flush=True)
    (target / FAILURES).write_text(json.dumps(failures, indent=1))
    return failures


def runs(path: Path, family: Family) -> None:
    """Raises what ONNX Runtime says of a file that it does not run: no model of anybody's."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = [tensor.numpy() for tensor in family.inputs(0, 1)]
    session.run(None, dict(zip((node.name for node in session.get_inputs()), inputs, strict=True)))


def main(arguments: Sequence[str]) -> None:
    """Parse the command line; `QUANTIZERS` and `FAMILIES` have the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("quantizers", nargs="+", choices=QUANTIZERS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    for quantizer in given.quantizers:
        generate(quantizer, given.families, given.output)


if __name__ == "__main__":
    main(sys.argv[1:])
