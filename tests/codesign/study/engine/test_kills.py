"""Workers, parents and studies that are killed, at any time: what was finished is kept, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codesign.study import run_study
from codesign.study.definition.study import Search
from codesign.study.engine.processes.workers import Done, LocalWorkers
from codesign.study.engine.task import Task
from tests.codesign.study.engine.made_up import MadeUp, study
from tests.codesign.study.engine.test_run import found


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether it is there and not only waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(workers: LocalWorkers, done: dict[str, Done], holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        done.update((one.ticket, one) for one in workers.wait())


def test_a_killed_worker_costs_its_task_only(tmp_path: Path) -> None:
    """Of four tasks the worker of one is killed in its middle: it is done again, the others are done once."""
    evaluator = MadeUp({"train-3": 1.0, "train-1": 0.3}, tmp_path / "log")
    workers, done = LocalWorkers(evaluator, 2), dict[str, Done]()
    try:
        for bits in (3, 1, 2, 4):
            workers.submit(str(bits), Task("train", {"bits": bits}))
        wait_until(workers, done, lambda: "train-3" in evaluator.executions())
        os.kill(evaluator.processes()[evaluator.executions().index("train-3")], signal.SIGKILL)
        wait_until(workers, done, lambda: len(done) == 4)
    finally:
        workers.close()
    assert {ticket: one.outcome.values for ticket, one in done.items()} == {
        str(bits): {"accuracy": bits / 32} for bits in (1, 2, 3, 4)
    }
    assert sorted(evaluator.executions()) == ["train-1", "train-2", "train-3", "train-3", "train-4"]
    assert not any(alive(process) for process in evaluator.processes())


def test_a_task_that_ends_its_worker_twice_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    evaluator = MadeUp({"run-8-8-16": "die", "train-12": "die once"}, log=tmp_path / "log")
    result = run_study(study(), tmp_path / "s", workers=2, evaluator=evaluator)
    failed = [point for point in result.points if point.failure]
    assert [dict(point.point.choices) for point in failed] == [
        {"rows": 8, "columns": 8, "arithmetic.accumulator_bits": 16}
    ]
    assert failed[0].failure == "run: the worker process was ended by SIGKILL, 2 times; is there memory enough?"
    assert [evaluator.executions().count(name) for name in ("run-8-8-16", "train-12", "train-16")] == [2, 2, 1]
    assert not list((tmp_path / "temporary").iterdir())  # what the killed ones had left there
    # Another machine may have the memory: that is not kept as the task's outcome.
    later = run_study(study(), tmp_path / "s", workers=1, evaluator=MadeUp(log=tmp_path / "later"))
    assert not any(point.failure for point in later.points)
    assert "run-8-8-16" in MadeUp(log=tmp_path / "later").executions()


class Unpreparable(MadeUp):
    def prepare(self) -> None:
        raise OSError("no room for the compiled loop")


def test_workers_that_cannot_begin_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended before they had begun.*no room for the compiled loop"):
        run_study(study(), tmp_path, workers=2, evaluator=Unpreparable())


CODE = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with the signal ignored
from codesign.commands import study as command
from codesign.study.engine import run
from tests.codesign.study.engine.made_up import MadeUp, Search, study
evaluator = MadeUp({"train": 0.1, "run": 0.1}, Path(sys.argv[1]) / "log")
made = study(Search("nsga2", 24, seed=1, population=6))
real = run.run_study
command.find_study, command.read_study = Path, lambda file: made
command.run_study = lambda *given: real(*given, evaluator=evaluator)
from codesign.cli import main
sys.exit(main(["study", "made-up", "-o", sys.argv[1] + "/s", "--workers", "2"]))
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_study_killed_again_and_again_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = run_study(study(Search("nsga2", 24, seed=1, population=6)), tmp_path / "w", workers=1, evaluator=MadeUp())
    log = MadeUp(log=tmp_path / "log")
    for executions in (3, 9, 15):
        with start(tmp_path) as process:
            until(lambda n=executions: len(log.executions()) >= n)  # type: ignore[misc]
            process.kill()
        until(lambda: not any(alive(worker) for worker in log.processes()))
    before = log.executions()
    assert len(before) < 30 and not (tmp_path / "s" / "result.json").exists()
    resumed = run_study(
        study(Search("nsga2", 24, seed=1, population=6)), tmp_path / "s", workers=2,
        evaluator=MadeUp(log=tmp_path / "log"),
    )  # fmt: skip
    assert found(resumed) == found(whole)
    # What was lost is what two workers had at most, each of the three times.
    executions = log.executions()
    assert len(executions) - len(set(executions)) <= 3 * 2


def test_ctrl_c_writes_what_there_is(tmp_path: Path) -> None:
    log = MadeUp(log=tmp_path / "log")
    with start(tmp_path) as process:
        until(lambda: len(log.executions()) >= 12)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "lockstep: interrupted\n"
    assert not any(alive(worker) for worker in log.processes())
    assert "the study was interrupted" in out and "of 24 points" in out
    assert {"result.json", "report.html", "points.csv", "optuna.db", "points", "store"} <= {
        path.name for path in (tmp_path / "s").iterdir()
    }


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    log = MadeUp(log=tmp_path / "log")
    with start(tmp_path) as process:
        until(log.executions)
        with pytest.raises(ValueError, match=f"s: process {process.pid} runs a study in this folder"):
            run_study(study(), tmp_path / "s", workers=1, evaluator=MadeUp())
        process.kill()
    # The dead one's lock is no obstacle.
    assert run_study(study(), tmp_path / "s", workers=1, evaluator=MadeUp()).state == "complete"
