"""Other people's cycle estimators: which package each is in, and a run of one in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

PACKAGES = {"SCALE-Sim": ("scalesim",), "Vela": ("ethosu", "tflite")}
"""Estimator → the package that it is in, and those that write what it reads; the extra ``correlation`` has all."""
INSTALL = "pip install 'lockstep[correlation]'"
SECONDS_FILE = "processor_seconds"
# One thread on either side: what is compared is processor time. Starting Python and importing are not counted.
MEASURED = """
import sys, time
start = time.process_time()
run(*sys.argv[1:])
spent = time.process_time() - start
with open("{file}", "w") as file:
    file.write(repr(spent))
"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def installed(estimator: str) -> bool:
    """Whether the packages of `estimator`, of `PACKAGES`, can be imported."""
    return not _absent(estimator)


def _absent(estimator: str) -> list[str]:
    return [package for package in PACKAGES[estimator] if find_spec(package) is None]


def run_estimator(estimator: str, script: str, arguments: Sequence[str], folder: Path, timeout: float) -> float:
    """Run `estimator` in `folder` and return the processor seconds that it took, its imports left out.

    script : Python source that imports the estimator and defines ``run(*arguments)``; its files belong in `folder`,
        which is its working directory, and what it prints is dropped
    timeout : seconds after which it is ended

    Raises ``ValueError``, one sentence with the estimator and what it said, where its package is absent, where it fails
    or ends early, or takes longer.
    """
    for package in _absent(estimator):
        raise ValueError(f"{estimator} needs the package {package!r}, which {INSTALL} installs")
    command = [sys.executable, "-P", "-c", script + MEASURED.format(file=SECONDS_FILE), *arguments]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{estimator} must be done in {timeout:g} seconds, and is not") from None
    measured = folder / SECONDS_FILE
    if done.returncode or not measured.is_file():
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ValueError(f"{estimator} does not run it: {lines[-1] if lines else f'it ended with {done.returncode}'}")
    return float(measured.read_text())
