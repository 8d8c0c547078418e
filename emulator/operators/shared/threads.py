"""Work in independent pieces on all processors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(function: Callable[[Item], None], items: Sequence[Item]) -> None:
    """``function(item)`` for all items, which must share nothing that changes.

    Raises what the first failing item raises. A function that runs on these threads must not call this one: it
    could wait for itself.
    """
    if len(items) < 2 or processors() < 2:
        for item in items:
            function(item)
        return
    for _ in _pool(processors()).map(function, items):
        pass


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="emulator")


# A forked process has the pool's bookkeeping, but none of its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
