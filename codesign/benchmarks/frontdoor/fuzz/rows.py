"""Rows of damaged files: how many were refused in a sentence, how many read and right, and what was neither."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from shutil import copyfile
from typing import Any

from ...rows import row
from .judge import NOT_RUN, REFUSED, RIGHT
from .run import verdicts

SEEDS = ("mlp", "lenet", "resnet", "mobilenet_v3", "inception", "unet_bilinear", "super_resolution")
"""Families whose files are damaged, one of each quantizer in turn."""
TFLITE = ("autoencoder", "resnet8", "wakeword")


def rows(models: Path, tflite: Path | None, work: Path, count: int) -> list[dict[str, Any]]:
    """How `count` damaged files are taken; "faults" in JSON has the kinds of what is wrong, each with an index.

    models : a folder of the matrix's files; tflite : one of MLPerf Tiny's; work : an empty folder
    """
    seeds = work / "seeds"
    seeds.mkdir()
    places = [place for place in sorted(models.iterdir()) if place.is_dir()]
    for place in places:
        for family in SEEDS:
            file = place / f"{family}.onnx"
            if file.is_file():
                copyfile(file, seeds / f"{place.name}_{family}.onnx")
    for name in TFLITE if tflite is not None else ():
        assert tflite is not None
        if (tflite / f"mlperf_tiny_{name}.tflite").is_file():
            copyfile(tflite / f"mlperf_tiny_{name}.tflite", seeds / f"{name}.tflite")
    title = f"{count} damaged files"
    if not any(seeds.iterdir()):
        return [row(f"{title}: neither refused in a sentence nor right", "not run: no file", "files", "= 0")]
    found = verdicts(seeds, work, count)
    faults = {index: verdict for index, verdict in found.items() if verdict not in (REFUSED, RIGHT, NOT_RUN)}
    kinds = Counter(_kind(verdict) for verdict in faults.values())
    examples = {_kind(verdict): f"{index}: {verdict}" for index, verdict in reversed(faults.items())}
    tally = Counter(found.values())
    return [
        row(f"{title}: refused in a sentence", tally[REFUSED], "files"),
        row(f"{title}: read, and right", tally[RIGHT], "files"),
        row(f"{title}: read, the runtime lacks a kernel or dies", tally[NOT_RUN], "files"),
        row(f"{title}: neither refused in a sentence nor right", len(faults), "files", "= 0", not faults)
        | {"faults": {kind: {"files": number, "example": examples[kind]} for kind, number in kinds.most_common()}},
    ]


def _kind(verdict: str) -> str:
    return re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", re.sub(r"(['\"]).*?\1", "…", verdict))[:160]
