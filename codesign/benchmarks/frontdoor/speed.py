"""How long it takes to read and compile a MobileNetV2 of 3.5 million weights."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from compiler import compile_graph, load_model

from ..rows import row
from .tiny import CONFIG

MOST_SECONDS = 15
TITLE = "load_model and compile_graph of MobileNetV2 at width 1.0, 224×224"


def rows(path: Path) -> list[dict[str, Any]]:
    """Processor time of both, for the quantized file that is written to `path`."""
    try:
        write(path)
    except ImportError as error:
        return [row(TITLE, f"not run: {error}", "s", f"≤ {MOST_SECONDS}")]
    start = time.process_time()
    graph = load_model(path)
    compile_graph(graph, replace(CONFIG, arithmetic=graph.arithmetic))
    seconds = time.process_time() - start
    mebibytes = path.stat().st_size / (1 << 20)
    return [row(f"{TITLE}, {mebibytes:.1f} MiB", seconds, "s", f"≤ {MOST_SECONDS}", seconds <= MOST_SECONDS)]


def write(path: Path) -> None:
    """MobileNetV2 as ONNX Runtime quantizes it, int8 with a scale for every channel."""
    from .families import Family, mobile
    from .quantizers.onnx_runtime import quantize

    quantize("ort_qdq_s8s8", Family(mobile.mobilenet_v2_full, ((3, 224, 224),), dynamic=False), path)
