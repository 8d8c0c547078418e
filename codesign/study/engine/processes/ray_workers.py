"""`RayWorkers`: the same tasks on a Ray cluster; outcomes come back to this process, which alone writes the store."""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray import exceptions

from ..evaluator import Evaluator
from ..task import Outcome, Task
from .threads import ONE_THREAD
from .worker import execute
from .workers import DEATHS, POLL_SECONDS, Done

PACKAGES = ("emulator", "compiler", "rtl", "qat", "codesign")
ROOT = Path(__file__).parents[4]
CONNECT_SECONDS = 10.0
AHEAD = 2
"""Tasks on their way for each processor of the cluster."""

_HERE: dict[str, Evaluator] = {}  # of a worker's process: the evaluator that it has prepared


def remote_execute(evaluator: Evaluator, study: str, task: Task) -> tuple[Outcome, bool, float]:
    """What a process of the cluster does with a task; its working folder has the study's files."""
    if study not in _HERE:
        _HERE.clear()
        _HERE[study] = evaluator.at(Path.cwd())
        _HERE[study].prepare()
    return execute(_HERE[study], task)


class RayWorkers:
    """Processes of a cluster.

    A task whose process or node is lost is done again. Our packages and the study's files are sent to the nodes, which
    must have Python and the packages of others in this machine's versions.
    """

    def __init__(self, evaluator: Evaluator, address: str) -> None:
        self._pending: deque[tuple[str, Task]] = deque()
        self._running: dict[Any, tuple[str, Task]] = {}
        self._deaths: dict[str, int] = {}
        self._files = Path(tempfile.mkdtemp(prefix="lockstep-ray-"))
        self._address = address
        self._ours = not ray.is_initialized()
        try:
            for name, path in evaluator.files().items():
                (self._files / name).parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copy)(path, self._files / name)
            environment = {
                "env_vars": dict(ONE_THREAD),
                "py_modules": [str(ROOT / name) for name in PACKAGES],
                "working_dir": str(self._files),
                "excludes": ["__pycache__"],
            }
            self._connect(environment)
            self._evaluator = ray.put(evaluator)
            self._study = self._evaluator.hex()
            # Ray is not to try again by itself: it would not know a task that always ends its process.
            self._execute = ray.remote(remote_execute).options(num_cpus=1, max_retries=0)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        return f"Ray cluster {self._address} of {self._processors()} processors"

    def submit(self, ticket: str, task: Task) -> None:
        self._pending.append((ticket, task))

    def wait(self) -> list[Done]:
        room = AHEAD * max(1, self._processors()) - len(self._running)
        for _ in range(min(room, len(self._pending))):
            ticket, task = self._pending.popleft()
            self._running[self._execute.remote(self._evaluator, self._study, task)] = (ticket, task)
        references = list(self._running)
        ray.wait(references, num_returns=1, timeout=POLL_SECONDS)
        ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
        return [done for reference in ready if (done := self._collect(reference)) is not None]

    def close(self) -> None:
        if ray.is_initialized():
            for reference in self._running:
                with suppress(exceptions.RayError):
                    ray.cancel(reference, force=True)
            if self._ours:
                ray.shutdown()
        shutil.rmtree(self._files, ignore_errors=True)

    def _connect(self, environment: dict[str, Any]) -> None:
        if not self._ours:
            raise ValueError("--ray needs a process that is not connected to a cluster; call ray.shutdown() first")
        host, separator, port = self._address.removeprefix("ray://").rpartition(":")
        if separator and port.isdigit():  # Ray itself would try for minutes
            try:
                socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
            except OSError as error:
                raise ValueError(
                    f"--ray {self._address}: nobody answers there ({error.strerror or error}); "
                    "`ray start --head` starts a cluster and prints its address"
                ) from None
        elif self._address != "auto":
            raise ValueError(f"--ray must be HOST:PORT of a cluster, or auto, not {self._address!r}")
        try:
            ray.init(
                self._address,
                runtime_env=environment,
                log_to_driver=False,
                logging_level=logging.ERROR,
                namespace="study",
            )
        except (exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise ValueError(
                f"--ray {self._address}: {text[:300]} (where the cluster asks for a token: RAY_AUTH_MODE=token, and "
                "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH)"
            ) from None

    def _processors(self) -> int:
        return int(ray.cluster_resources().get("CPU", 0)) if ray.is_initialized() else 0

    def _collect(self, reference: Any) -> Done | None:
        """A finished task; None where it goes to another process, because its own was lost."""
        ticket, task = self._running.pop(reference)
        try:
            outcome, kept, _ = ray.get(reference)
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            self._deaths[ticket] = self._deaths.get(ticket, 0) + 1
            if self._deaths[ticket] == DEATHS:
                why = "had not memory enough" if isinstance(error, exceptions.OutOfMemoryError) else "was ended"
                return Done(ticket, Outcome({}, failure=f"{task.kind}: its process {why}, {DEATHS} times"), False)
        except (exceptions.NodeDiedError, exceptions.ObjectLostError):
            pass  # nothing that the task would have done
        except exceptions.RayError as error:
            raise RuntimeError(f"Ray cluster {self._address}: {' '.join(str(error).split())[:300]}") from None
        else:
            return Done(ticket, outcome, kept)
        self._pending.appendleft((ticket, task))
        return None
