"""One thread for everything a worker runs: as many workers as processors, and sums in one order on every machine."""

from __future__ import annotations

import os
import sys

ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
}
"""The environment of a worker, which libraries read when they are loaded."""


def one_thread() -> None:
    """The same for a process whose environment somebody else has made, and for a torch that is loaded."""
    os.environ.update(ONE_THREAD)
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
