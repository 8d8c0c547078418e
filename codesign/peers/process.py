"""A peer in a process of its own: TFLM ends the program where a check of its own fails."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEERS = ("tflm", "litert", "litert-builtin", "litert-reference")


def run_peer(
    peer: str, file: str | Path, inputs: Mapping[str, NDArray[Any]], every: bool = False, timeout: float = 600
) -> dict[str, NDArray[Any]]:
    """`run_tflm` or `run_litert` (with the resolver behind the hyphen) of a file, in another process.

    Raises ``ValueError``, one sentence with the file and what the peer said, where the peer refuses it, ends or takes
    more than `timeout` seconds.
    """
    if peer not in PEERS:
        raise ValueError(f"peer must be one of {', '.join(PEERS)}, not {peer!r}")
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        np.savez(given, **{f"{i}": array for i, array in enumerate(inputs.values())}, names=np.array(list(inputs)))
        command = [sys.executable, "-m", __name__, peer, str(file), str(given), str(made), str(int(every))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise ValueError(f"{file}: {peer} must be done in {timeout:.0f} seconds, and is not") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise ValueError(
                f"{file}: {peer} does not run it: {said[-1] if said else f'it ended with {done.returncode}'}"
            )
        with np.load(made) as arrays:
            return {str(name): arrays[str(i)] for i, name in enumerate(arrays["names"])}


def main(arguments: list[str]) -> int:
    """One run; what it refuses is a sentence on standard error."""
    peer, file, given, made, every = arguments
    with np.load(given) as arrays:
        inputs = {str(name): arrays[str(i)] for i, name in enumerate(arrays["names"])}
    try:
        if peer == "tflm":
            from .tflm import run_tflm

            results = run_tflm(file, inputs, bool(int(every)))
        else:
            from .litert import run_litert

            resolver = peer.partition("-")[2] or "default"
            results = run_litert(file, inputs, bool(int(every)), resolver)
    except ModuleNotFoundError as error:
        extra = peer.partition("-")[0]
        print(f"the package {error.name} is missing: pip install 'lockstep[{extra}]'", file=sys.stderr)
        return 1
    except (RuntimeError, ValueError) as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    np.savez(made, **{f"{i}": array for i, array in enumerate(results.values())}, names=np.array(list(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
