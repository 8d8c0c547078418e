"""One damaged file: read within bounds of time and memory, and compared with its runtime where it was read."""

from __future__ import annotations

import resource
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import onnxruntime

from compiler import ModelError, load_model
from emulator.arithmetic import Arithmetic
from emulator.graph import Graph
from emulator.graph.run import run_graph, run_graph_counts

from ....inputs import random_codes
from ....validate import validate

SECONDS = 20
"""Of processor time, for one file of at most some hundred kilobytes."""
MEMORY = 1 << 30
"""Bytes beside what the process has before the first file."""
LONGEST = 4000
"""Characters of a sentence; one names all the operators of a file that are not read."""
LIMITS = ("NOT_IMPLEMENTED", "ValidateOpsetForDomain", "Scale and Zero-point must be a scalar")
"""What ONNX Runtime says of its own limits: no such kernel; no such version of a domain, of which nothing need be used;
a vector of one element, which its other operators take as a scalar."""
REFUSED, RIGHT, NOT_RUN = "refused", "right", "not run by the runtime"


class Hangs(BaseException):
    """The time is over; no ``Exception``, so that nobody takes it for one of his."""


def judge(path: Path, compare: Callable[[Path, Graph], str]) -> str:
    """`REFUSED` for a sentence, what `compare` says of a file that is read, otherwise the fault in words."""
    try:
        with _bounded():
            try:
                graph = load_model(path, Arithmetic.tflm() if path.suffix == ".tflite" else None)
            except ModelError as error:
                return _sentence(str(error), path)
    except Hangs:
        return f"hangs for more than {SECONDS} s"
    except Exception as error:  # any other class is the fault that is looked for
        return f"raises {type(error).__name__}: {str(error)[:200]}"
    return compare(path, graph)


def _sentence(text: str, path: Path) -> str:
    if not text.startswith(f"{path}: ") or "\n" in text or len(text) > LONGEST + len(str(path)):
        return f"says no sentence of the file: {text[:200]!r}"
    return REFUSED


@contextmanager
def _bounded() -> Iterator[None]:
    """`Hangs` is raised after `SECONDS` of processor time."""

    def over(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def limit_memory() -> None:
    """From now on a ``MemoryError`` ends what takes more than `MEMORY` beside what is taken already."""
    with open("/proc/self/statm") as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, resource.RLIM_INFINITY))


def against_onnx_runtime(path: Path, graph: Graph) -> str:
    """`RIGHT` where every layer is ONNX Runtime's or explained, `NOT_RUN` where that lacks a kernel."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's classes share nothing but Exception
        text = str(error).splitlines()[0]
        return NOT_RUN if any(limit in text for limit in LIMITS) else f"is read, but not by ONNX Runtime: {text[:300]}"
    feeds = {}
    for node in session.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in node.shape]
        dtype = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64}.get(node.type)
        feeds[node.name] = np.zeros(shape, dtype or np.float32)
    try:
        session.run(None, feeds)
    except Exception as error:
        text = str(error).splitlines()[0]
        if any(limit in text for limit in LIMITS):
            return NOT_RUN
        return REFUSED if _refuses(graph, feeds) else f"runs, but not in ONNX Runtime: {text[:300]}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            validation = validate(path, images=2)
    except Exception as error:  # a file that both read must be compared
        return f"cannot be validated: {type(error).__name__}: {str(error)[:200]}"
    # The reference is a session without graph optimization: of damaged files, fused kernels ignore more than of others.
    wrong = [layer.name for layer in validation.reference if not layer.explained]
    return f"is wrong in {', '.join(wrong)}" if wrong else RIGHT


def _refuses(graph: Graph, inputs: dict[str, np.ndarray]) -> bool:
    """Whether the emulator, whose host parts are run by ONNX Runtime, says in a sentence that it cannot run either."""
    try:
        run_graph(graph, inputs)
    except ValueError as error:
        return "\n" not in str(error)
    return False


def against_tflm(path: Path, graph: Graph) -> str:
    """`RIGHT` where every output code is TFLM's, `NOT_RUN` where that does not take the file or define its sums."""
    from ....peers.tflm import run_tflm

    codes = random_codes(graph, 1)
    try:
        theirs = run_tflm(path, codes)
    except Exception:  # whatever TFLM says of it
        return NOT_RUN
    ours, (_, counts) = run_graph(graph, codes), run_graph_counts(graph, codes)
    if any(count.overflows.any() for count in counts.values()):
        return NOT_RUN  # TFLM's sums are undefined beyond 32 bits
    differing = sum(int((ours[name] != theirs[name]).sum()) for name in ours if name in theirs)
    return RIGHT if not differing else f"is wrong: {differing} output codes differ from TFLM's"
