"""Whether a study finds the same, to the bit, by few workers or many, on a Ray cluster, and after it was killed."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...study import read_study, run_study
from ...study.result import StudyResult
from ...study.result_file import read_result, result_to_json
from ..rows import row

STUDY = """
[data]
builtin = "digits8"
[training]
float_epochs = 2
epochs = 1
[space]
arithmetic.accumulator_bits = [10, 12, 16, 20]
recipe = ["fitted", "qat"]
array = [{ rows = 4, columns = 4 }, { rows = 8, columns = 8 }, { rows = 8, columns = 16 }, { rows = 16, columns = 16 }]
[objectives]
accuracy = "maximize"
cycles = "minimize"
[search]
sampler = "nsga2"
trials = 16
population = 8
"""
"""A search whose second generation depends on the first, with training."""
WORKERS = (1, 2, 4)
KILLS = 3
NODES = 2
PATIENCE = 1800.0
"""Seconds for a run that is to be killed."""


def rows() -> list[dict[str, Any]]:
    """The table's rows: how many different results there are of equal studies."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "study.toml")
        file.write_text(STUDY, encoding="utf-8")
        local = [_local(file, count, Path(place, f"workers-{count}")) for count in WORKERS]
        return [
            _row(f"study: results of {', '.join(map(str, WORKERS))} workers", lambda: local),
            _row(f"study: results of 1 worker and of {NODES} nodes of Ray", lambda: [local[0], _ray(file, place)]),
            _row(
                f"study: results of 1 worker and of {KILLS} kills",
                lambda: [local[0], _killed(file, Path(place, "killed"))],
            ),
        ]


def _row(name: str, find: Callable[[], list[str]]) -> dict[str, Any]:
    try:
        different = len(set(find()))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return row(name, f"not run: {' '.join(str(error).split())}", "different", "1", None)
    return row(name, different, "different", "1", different == 1)


def found(result: StudyResult, folder: Path) -> str:
    """Digest of all that a study finds: every point's numbers to the bit, its layers, timeline, config and model.

    Not of it are times, places and who computed what.
    """
    told = json.loads(result_to_json(result))
    del told["provenance"]
    del told["notes"]
    told["study"]["folder"] = told["study"]["file"] = None
    for point in told["points"]:
        del point["cached"]
        del point["command"]
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "points").rglob("*"))
        if path.is_file()
    }
    if not told["points"] or not files:
        raise RuntimeError("the study has found nothing")
    return hashlib.sha256(json.dumps([told, files], sort_keys=True).encode()).hexdigest()


def _local(file: Path, workers: int, folder: Path) -> str:
    return found(run_study(read_study(file), folder, workers=workers), folder)


def _ray(file: Path, place: str) -> str:
    if find_spec("ray") is None:
        raise ImportError("ray is not installed: pip install 'lockstep[ray]'")
    from ray.cluster_utils import Cluster

    folder = Path(place, "ray")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(NODES - 1):
            cluster.add_node(num_cpus=1)
        return found(run_study(read_study(file), folder, ray=cluster.address), folder)
    finally:
        cluster.shutdown()


def _killed(file: Path, folder: Path) -> str:
    """Of a run whose process is killed each time that some more tasks are done, and then left alone."""
    lockstep = [sys.executable, "-c", "from codesign.cli import main; raise SystemExit(main())"]
    command = [*lockstep, "study", str(file), "-o", str(folder), "--workers", "2"]
    for kill in range(1, KILLS + 1):
        done = _tasks(folder) + 2
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + PATIENCE
            while _tasks(folder) < done and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if process.poll() is not None:
                raise RuntimeError(f"the run ended before kill {kill} of {KILLS}")
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return found(read_result(folder), folder)


def _tasks(folder: Path) -> int:
    """Finished tasks in a study's store."""
    return sum(1 for _ in (folder / "store").glob("*/*/outcome.json"))
