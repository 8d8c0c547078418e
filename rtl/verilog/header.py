"""The comment in front of an exported accelerator: what it is, from which config, and what linters need not say."""

from __future__ import annotations

import json
from importlib.metadata import metadata

from emulator.config import AcceleratorConfig

WAIVED = {
    "CMPCONST": "loops over places compare with the last one too, where a field ends",
    "DECLFILENAME": "all modules are in one file, so that one file is the accelerator",
    "INITIALDLY": "behind all waits of time 0, so that every process runs then",
    "PROCASSINIT": "registers have a power-on value, which FPGAs load with the bitstream, beside their reset",
    "SYMRSVDWORD": "`interrupt` is the name of a port, and a common word of C++ only",
    "UNUSEDSIGNAL": "the fields of records keep their names for waveforms, used or not",
}
"""Verilator's warnings (of its pedantic ones too) that are turned off in the file, and why."""


def header(config: AcceleratorConfig, prefix: str = "") -> str:
    """Comment lines and lint pragmas; ends with an empty line."""
    about = metadata("lockstep")
    fields = config.as_dict()
    arithmetic = fields.pop("arithmetic")
    lines = [
        f"Lockstep {about['Version']}: INT8 systolic-array accelerator, top module {prefix}accelerator",
        f"SPDX-License-Identifier: {about['License-Expression']}",
        f"config hash (SHA-256): {config.hash()}",
        *(f"{name} = {json.dumps(value)}" for name, value in fields.items()),
        *(f"arithmetic.{name} = {json.dumps(value)}" for name, value in arithmetic.items()),
    ]
    waivers = [f"/* verilator lint_off {name} */ // {reason}" for name, reason in WAIVED.items()]
    return "\n".join([*(f"// {line}" for line in lines), *waivers, "", ""])
