"""``lockstep verilog``: an accelerator as one Verilog file."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.config import load_config

from ..console import Output, Phases
from ..files import check_writable, write_text

PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|")


def run(config_file: Path, file: Path, prefix: str, json_file: str | None) -> bool:
    """Write the Verilog of `config_file` to `file`, `prefix` in front of all module names; returns True.

    Raises ``ValueError`` for a prefix with which a module's name would not be a plain identifier.
    """
    if not PREFIX.fullmatch(prefix):
        raise ValueError(f"--prefix must be letters, digits and _, not beginning with a digit, not {prefix!r}")
    output = Output(json_file)
    config = load_config(config_file)
    check_writable(file)
    from rtl.accelerator import accelerator_verilog
    from rtl.verilog.header import header

    with Phases() as phases, phases.phase("Verilog"):
        text = header(config, prefix) + accelerator_verilog(config, prefix)
    write_text(file, text)
    modules = re.findall(r"^module (\S+?)\s*\(", text, re.MULTILINE)
    lines, top = text.count("\n"), f"{prefix}accelerator"
    output.show(
        f"{file}: {config.rows}×{config.columns} array, {len(modules)} modules, {lines} lines; top module {top}"
    )
    output.finish({"file": str(file), "top": top, "modules": modules, "lines": lines, "config": config.as_dict()})
    return True
