"""The command line as a process: what it imports, what it needs, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesign.cli import ERROR, HOLDS, INTERRUPTED, UNREAD
from tests.codesign.models import small_config, small_model


def process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from codesign.cli import main; main(['run', '--help']);"
        "heavy = {'torch', 'amaranth', 'onnx', 'numba', 'matplotlib', 'onnxruntime', 'sklearn'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = process(code)
    assert done.returncode == 0, done.stderr


def test_run_needs_neither_torch_nor_amaranth_nor_onnxruntime(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, amaranth=None, onnxruntime=None, cocotb=None, matplotlib=None);"
        "from codesign.cli import main;"
        f"sys.exit(main(['run', {str(small_model(tmp_path))!r}, '--config', {str(small_config(tmp_path))!r}]))"
    )
    done = process(code)
    assert done.returncode == HOLDS, done.stderr


def test_without_an_extra_the_sentence_names_it(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    code = (
        "import sys; sys.modules['amaranth'] = None; from codesign.cli import main;"
        f"sys.exit(main(['verilog', {str(config)!r}, '-o', {str(tmp_path / 'a.v')!r}]))"
    )
    done = process(code)
    assert done.returncode == ERROR
    assert done.stderr == (
        "lockstep: error: this command needs the package 'amaranth', which `pip install 'lockstep[rtl]'` installs\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_is_status_130_and_one_line(tmp_path: Path, number: signal.Signals) -> None:
    code = (  # a background job starts with SIGINT ignored, what nohup starts with SIGHUP
        "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL);"
        "from codesign import cli; import codesign.app, codesign.commands.run;"
        "codesign.commands.run.run = lambda *_: (print('ready', flush=True), time.sleep(30));"
        "sys.exit(cli.main(['run', 'x.onnx']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.1)
        child.send_signal(number)
        assert child.wait(10) == INTERRUPTED
        assert child.stderr.read() == "lockstep: interrupted\n"


@pytest.mark.parametrize("option", ["--help", "--json=-"])
def test_an_output_that_nobody_reads_is_status_141_and_no_message(tmp_path: Path, option: str) -> None:
    code = (
        "import sys; from codesign.cli import main; sys.stdin.read();"
        f"sys.exit(main(['run', {str(small_model(tmp_path))!r}, {option!r}]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        child.stdout.close()
        child.stdin.close()
        errors = child.stderr.read()
        assert child.wait(30) == UNREAD
    assert "rror" not in errors and "Exception" not in errors


@pytest.mark.parametrize("arguments", [["--json", "-"], []])
def test_a_full_standard_output_is_named(tmp_path: Path, arguments: list[str]) -> None:
    command = ["run", str(small_model(tmp_path)), *arguments]
    code = f"import sys; from codesign.cli import main; sys.exit(main({command!r}))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ERROR
    assert done.stderr.splitlines()[-1] == "lockstep: error: standard output: No space left on device"
