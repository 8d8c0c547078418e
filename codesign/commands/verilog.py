"""``lockstep verilog``: an accelerator as one Verilog file."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.config import load_config

from ..console import Output, Phases
from ..files import check_writable, write_text


def run(config_file: Path, file: Path, json_file: str | None) -> bool:
    """Write the Verilog of `config_file` to `file`; returns True."""
    output = Output(json_file)
    config = load_config(config_file)
    check_writable(file)
    from rtl.accelerator import accelerator_verilog

    with Phases() as phases, phases.phase("Verilog"):
        text = accelerator_verilog(config)
    write_text(file, text)
    modules = re.findall(r"^module (\S+?)\s*\(", text, re.MULTILINE)
    lines = text.count("\n")
    output.show(
        f"{file}: {config.rows}×{config.columns} array, {len(modules)} modules, {lines} lines; top module accelerator"
    )
    output.finish(
        {"file": str(file), "top": "accelerator", "modules": modules, "lines": lines, "config": config.as_dict()}
    )
    return True
