"""The cocotb side of `testbench.v`: hands it one run after the other and sleeps while the accelerator works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ValueChange

RESULTS = ("done", "cycles", "elapsed", "error", "error_index", "stray", "unknown")


@cocotb.test()
async def runs(testbench: Any) -> None:
    """All runs of a session; one JSON line of results each, appended as soon as the run has ended."""
    arguments = json.loads(Path("arguments.json").read_text(encoding="utf-8"))
    for name in ("latency", "max_cycles"):
        getattr(testbench, name).value = arguments[name]
    fresh = True
    with Path("records.jsonl").open("w", encoding="utf-8") as records:
        for run, image_bytes in enumerate(arguments["image_bytes"], start=1):
            testbench.image_bytes.value = image_bytes
            testbench.program_address.value = arguments["program_address"][run - 1]
            testbench.reset_first.value = int(fresh or arguments["reset_every_run"])
            testbench.run.value = run
            await ValueChange(testbench.run_finished)
            record = {}
            for name in RESULTS:
                value = getattr(testbench, f"run_{name}").value
                assert value.is_resolvable, f"the accelerator's {name} is unknown after run {run}: {value}"
                record[name] = int(value)
            fresh = not record["done"]  # an accelerator that is still at work must not be started again
            records.write(json.dumps(record) + "\n")
            records.flush()
