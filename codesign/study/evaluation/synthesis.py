"""The tasks ``rtl``, ``hardware``, ``synthesis``, ``clock`` and ``asic``: what the tools make of the Verilog."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from emulator.config import AcceleratorConfig, config_from_dict

from ..engine.task import Outcome, Task
from .tasks import CONFIG, LIBRARY


def rtl(task: Task) -> Outcome:
    """Which RTL is installed; None where what writes its Verilog is not."""
    from ...synthesis.area import fingerprint

    try:
        return Outcome({"fingerprint": fingerprint()})
    except ModuleNotFoundError:
        return Outcome({"fingerprint": None})


def hardware(task: Task) -> Outcome:
    """The digest of the Verilog, by which configs of the same hardware are synthesized once."""
    from ...synthesis.area import hardware_key

    return Outcome({"key": hardware_key(config_from_dict(task.arguments["config"]))})


def synthesis(task: Task) -> Outcome:
    """What Yosys counts, part by part."""
    from ...synthesis.area import synthesize_area

    with tempfile.TemporaryDirectory() as folder:
        area = synthesize_area(_config(task), Path(folder))
    return Outcome({"hardware": task.arguments["hardware"], **area.as_dict()})


def clock(task: Task) -> Outcome:
    """What nextpnr reaches; a design that it cannot place has a reason and no clock."""
    from ...synthesis.synthesize import synthesize

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = synthesize(_config(task), Path(folder))
        except RuntimeError as error:
            if "nextpnr" not in str(error) or "status" in str(error):
                raise
            return Outcome({"mhz": None, "reason": str(error)})
    return Outcome({"mhz": found.fmax, "clocks": {str(seed): mhz for seed, mhz in found.clocks.items()}})


def asic(task: Task) -> Outcome:
    """Area and delay in the cells of a library."""
    from ...synthesis.asic import synthesize_cells

    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, LIBRARY)
        library.write_bytes(task.files[LIBRARY])
        work = Path(folder, "work")
        work.mkdir()
        try:
            found = synthesize_cells(_config(task), library, work)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{library}", "the Liberty file")) from None
    return Outcome({"area": found.area, "delay_ns": found.delay_ns, "memory_bits": found.memory_bits})


def _config(task: Task) -> AcceleratorConfig:
    """One config of the hardware: the others differ in what no tool sees."""
    return config_from_dict(json.loads(task.files[CONFIG]))
