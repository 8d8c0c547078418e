"""`LocalWorkers`: long-lived processes on this machine, to which tasks are given and from which outcomes come."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Protocol

from ..task import Executor, Outcome, Task
from .threads import ONE_THREAD
from .worker import READY

QUEUED_SECONDS = 0.25
"""Of short tasks, as many are sent ahead to a worker as take this long: none waits for the parent between two."""
DEATHS = 2
"""Workers that a task may end before it counts as failed."""
STARTS = 3
"""Workers in a row that may end before they are ready."""
POLL_SECONDS = 1.0


class Done(NamedTuple):
    """A finished task. kept : whether its outcome would be the same again, and belongs into the store."""

    ticket: str
    outcome: Outcome
    kept: bool


class Workers(Protocol):
    """Who executes tasks."""

    @property
    def name(self) -> str:
        """What they are, for the study's provenance."""
        ...

    def submit(self, ticket: str, task: Task) -> None:
        """Have a task executed; `ticket` is what its outcome is known by."""
        ...

    def wait(self) -> list[Done]:
        """Wait until tasks are finished, at most about a second, and return them."""
        ...

    def close(self) -> None:
        """End all of it, running tasks too."""
        ...


class _Process:
    """One worker, and the tickets that it has, of which it executes the first."""

    def __init__(self, executor: Executor) -> None:
        ours, theirs = socket.socketpair()
        # Of a task that is killed nobody else would remove what it and its tools have left.
        self.scratch = tempfile.mkdtemp(prefix="lockstep-worker-")
        self.log, name = tempfile.mkstemp(dir=self.scratch)
        os.unlink(name)
        # The parent's main module is not imported again, as multiprocessing would: it may be a script without a guard.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__package__}.worker import main; main({theirs.fileno()})"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.log,
                env=os.environ | ONE_THREAD | {"TMPDIR": self.scratch},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the parent's
            )
        self.connection = Connection(ours.detach())
        self.tickets: deque[str] = deque()
        self.ready = False
        self.begun = False
        with suppress(OSError):  # one that has ended is found when it is waited for
            self.connection.send(executor)

    def begin(self) -> None:
        self.begun = True
        with suppress(OSError):
            self.connection.send(None)

    def end(self, grace: float = 0.0) -> str:
        """Kill it and what it has started, after `grace` seconds in which it may end itself; how it ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        self.connection.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.lseek(self.log, max(0, os.lseek(self.log, 0, os.SEEK_END) - 4096), os.SEEK_SET)
        lines = os.read(self.log, 4096).decode(errors="replace").split("\n")
        os.close(self.log)
        said = next((f" ({line.strip()})" for line in reversed(lines) if line.strip()), "")
        how = f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
        return how + said


class LocalWorkers:
    """Up to `count` processes, started when there is work for them; the loss of one costs the task that it executes."""

    def __init__(self, executor: Executor, count: int) -> None:
        self.count = count
        self._executor = executor
        self._processes: list[_Process] = []
        self._pending: dict[str, deque[str]] = {}  # kind → tickets
        self._tasks: dict[str, Task] = {}
        self._deaths: dict[str, int] = {}
        self._seconds: dict[str, tuple[float, int]] = {}  # kind → seconds, tasks
        self._failed_starts = 0

    @property
    def name(self) -> str:
        return f"{self.count} local"

    @property
    def processes(self) -> list[int]:
        """Process ids of the workers that there are."""
        return [worker.process.pid for worker in self._processes]

    def submit(self, ticket: str, task: Task) -> None:
        self._tasks[ticket] = task
        self._pending.setdefault(task.kind, deque()).append(ticket)

    def wait(self) -> list[Done]:
        self._start()
        self._feed()
        found: list[Done] = []
        heard = wait([worker.connection for worker in self._processes], POLL_SECONDS)
        for worker in list(self._processes):
            if worker.connection in heard:
                found.extend(self._hear(worker))
            elif worker.process.poll() is not None and not worker.connection.poll():
                found.extend(self._lost(worker))
        self._feed()
        return found

    def close(self) -> None:
        for worker in self._processes:
            worker.end()
        self._processes.clear()

    def _start(self) -> None:
        waiting = sum(map(len, self._pending.values()))
        busy = sum(bool(worker.tickets) for worker in self._processes)
        while len(self._processes) < min(self.count, waiting + busy):
            self._processes.append(_Process(self._executor))
        # The first makes the compiled code that the others then only read.
        if self._processes and not self._processes[0].begun:
            self._processes[0].begin()
        if any(worker.ready for worker in self._processes):
            for worker in self._processes:
                if not worker.begun:
                    worker.begin()

    def _feed(self) -> None:
        for worker in self._processes:
            if worker.ready and not worker.tickets:
                self._give(worker, self._longest())
        for worker in self._processes:
            while worker.tickets and (ticket := self._short(worker)):
                self._give(worker, ticket)

    def _give(self, worker: _Process, ticket: str | None) -> None:
        if ticket is not None:
            worker.tickets.append(ticket)
            self._pending[self._tasks[ticket].kind].remove(ticket)
            with suppress(OSError):
                worker.connection.send((ticket, self._tasks[ticket]))

    def _expected(self, kind: str) -> float:
        """Seconds of a task of this kind; without end where none has been done yet."""
        seconds, tasks = self._seconds.get(kind, (0.0, 0))
        return seconds / tasks if tasks else float("inf")

    def _longest(self) -> str | None:
        """The next task: long ones first, or the last of them would run alone."""
        kinds = [kind for kind, tickets in self._pending.items() if tickets]
        return self._pending[max(kinds, key=self._expected)][0] if kinds else None

    def _short(self, worker: _Process) -> str | None:
        """A task that `worker` can have beside those it has."""
        kinds = [kind for kind, tickets in self._pending.items() if tickets]
        if not kinds:
            return None
        kind = min(kinds, key=self._expected)
        has = sum(self._expected(self._tasks[ticket].kind) for ticket in worker.tickets)
        return self._pending[kind][0] if has + self._expected(kind) <= QUEUED_SECONDS else None

    def _hear(self, worker: _Process) -> Iterator[Done]:
        try:
            while worker.connection.poll():
                message: Any = worker.connection.recv()
                if message == READY:
                    worker.ready = True
                    self._failed_starts = 0
                    continue
                ticket, outcome, kept, seconds = message
                worker.tickets.remove(ticket)
                kind = self._tasks.pop(ticket).kind
                before, tasks = self._seconds.get(kind, (0.0, 0))
                self._seconds[kind] = (before + seconds, tasks + 1)
                yield Done(ticket, outcome, kept)
        except (EOFError, OSError):
            yield from self._lost(worker)

    def _lost(self, worker: _Process) -> Iterator[Done]:
        """Give what a dead worker had to others; the task that it was executing not for ever."""
        self._processes.remove(worker)
        how = worker.end(grace=1.0)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise RuntimeError(f"{STARTS} worker processes ended before they had begun; the last {how}")
        executed = worker.tickets.popleft() if worker.tickets else None
        for ticket in reversed(worker.tickets):
            self._pending[self._tasks[ticket].kind].appendleft(ticket)
        if executed is None:
            return
        self._deaths[executed] = self._deaths.get(executed, 0) + 1
        kind = self._tasks[executed].kind
        if self._deaths[executed] < DEATHS:
            self._pending[kind].appendleft(executed)
            return
        del self._tasks[executed]
        failure = f"{kind}: the worker process {how}, {DEATHS} times; is there memory enough?"
        yield Done(executed, Outcome({}, failure=failure), False)
