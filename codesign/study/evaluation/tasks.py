"""The kinds of work of a study, and the tasks of each: what its outcome depends on, and nothing else."""

from __future__ import annotations

from typing import Any

from emulator.config import AcceleratorConfig

from ..engine.task import Task

RUN = "run"
KINDS = (RUN,)


def run_task(network: dict[str, str], config: AcceleratorConfig, latency: int, files: dict[str, bytes]) -> Task:
    """Compile and run on the machine.

    network : {"builtin": name}, or the digest of the "model" in `files`: {"file": that of its bytes} or
        {"structure": that of all its cycles depend on}
    """
    arguments: dict[str, Any] = {"network": network, "config": config.as_dict(), "latency": latency}
    return Task(RUN, arguments, files)
