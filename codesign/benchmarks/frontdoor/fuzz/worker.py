"""A process that damages files and judges them, one after the other; what kills it kills nothing else.

``python -m codesign.benchmarks.frontdoor.fuzz.worker SEEDS WORK FIRST LAST`` prints a line [INDEX, READ] before a file
is compared with its runtime, and [INDEX, VERDICT] after it. Every file can be made again from its index alone.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import numpy as np

from .onnx_mutations import mutated_onnx

READ = "was read"


def mutant(seeds: list[Path], index: int) -> tuple[bytes, str]:
    """The damaged file of this index, and its suffix; the formats of `seeds` take turns."""
    formats = sorted({path.suffix for path in seeds})
    suffix = formats[index % len(formats)]
    own = [path for path in seeds if path.suffix == suffix]
    data = own[index // len(formats) % len(own)].read_bytes()
    if suffix == ".tflite":
        from ....peers.tflite_mutants import byte_mutant

        return byte_mutant(data, np.random.default_rng(index)), suffix
    return mutated_onnx(data, random.Random(index)), suffix


def main(seed_folder: Path, work: Path, first: int, last: int) -> None:
    """Judge the files of the indices from `first` up to `last`."""
    from . import judge

    seeds = sorted(path for path in seed_folder.iterdir() if path.suffix in (".onnx", ".tflite"))
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what runtimes write of damaged files

    def compare(path: Path, graph: judge.Graph) -> str:
        output.write(json.dumps([index, READ]) + "\n")
        against = judge.against_tflm if path.suffix == ".tflite" else judge.against_onnx_runtime
        return against(path, graph)

    judge.limit_memory()
    for index in range(first, last):
        data, suffix = mutant(seeds, index)
        path = work / f"mutant{suffix}"
        path.write_bytes(data)
        output.write(json.dumps([index, judge.judge(path, compare)]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
