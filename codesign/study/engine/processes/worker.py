"""A worker: a process that executes one task after the other until its parent ends."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from ..task import Executor, Outcome, Task, canonical
from .threads import one_thread

READY = "ready"


def execute(executor: Executor, task: Task) -> tuple[Outcome, bool, float]:
    """Do a task: its outcome, whether it is worth keeping, and the seconds on the clock.

    An exception is a failure that is not kept: memory may be enough next time, or a file be there. `RuntimeError` and
    `OSError` are sentences; no executor should let another one through.
    """
    start = time.perf_counter()
    one_thread()
    try:
        outcome = executor.execute(task)
        canonical(dict(outcome.values))  # what the store could not keep is this task's failure, not the study's
        return outcome, True, time.perf_counter() - start
    except Exception as error:
        text = " ".join(str(error).split())
        sentence = isinstance(error, OSError | RuntimeError) and text
        said = text if sentence else f"unexpected {type(error).__name__}: {text}"
        outcome = Outcome({}, failure=f"{task.kind}: {said}")
        return outcome, False, time.perf_counter() - start


def main(handle: int) -> None:
    """Serve the parent on the socket `handle`: an executor, the word to begin, (ticket, task) after (ticket, task).

    Sent back are `READY`, and of each task (ticket, outcome, kept, seconds). The process leads a session of its own,
    all of which ends when the parent does, however that ends.
    """
    os.set_inheritable(handle, False)
    connection = Connection(handle)
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # The thread keeps the parent from waiting until a task is done that is longer than the socket's buffer.
    threading.Thread(target=_receive, args=(connection, messages), daemon=True).start()
    executor: Executor = messages.get()
    messages.get()
    executor.prepare()
    connection.send(READY)
    while True:
        ticket, task = messages.get()
        connection.send((ticket, *execute(executor, task)))


def _receive(connection: Connection, messages: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            messages.put(connection.recv())
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)  # with the tools that the task may have started
