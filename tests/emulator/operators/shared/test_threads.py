"""Work on all processors."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from typing import Any

import pytest

from emulator.operators.shared import threads
from emulator.operators.shared.threads import in_parallel


def test_every_item_once_and_on_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 3)
    done: list[int] = []
    where: set[int] = set()
    together = threading.Barrier(3, timeout=60)

    def work(item: int) -> None:
        if item < 3:
            together.wait()  # broken unless three run at a time
        done.append(item)
        where.add(threading.get_ident())

    in_parallel(work, list(range(20)))
    assert sorted(done) == list(range(20)) and threading.get_ident() not in where


@pytest.mark.parametrize("count", [1, 2])
def test_errors_come_out(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 2)

    def work(item: int) -> None:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        in_parallel(work, list(range(count)))


def _child(results: Any) -> None:
    found: list[int] = []
    in_parallel(found.append, [1, 2, 3])
    results.put(sorted(found))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 2)
    in_parallel(lambda item: None, [1, 2])
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_child, args=(results,))
    child.start()
    child.join(60)
    alive = child.is_alive()
    if alive:
        child.kill()
    assert not alive and child.exitcode == 0 and results.get() == [1, 2, 3]
