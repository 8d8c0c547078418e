"""What is shown of an `Execution`: its layers, its outputs, what differs; as tables and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig

from ..console import Output
from ..table import Table, cell_text, percent
from .execution import Execution, output_values
from .profile import profile_table


def show(output: Output, execution: Execution, model: Path) -> None:
    """Print the layers, what each cost, the outputs and the verdict."""
    output.show(layer_table(execution, f"{model.name}, {execution.samples} samples"))
    if execution.machine is not None:
        profile = execution.profile()
        if profile:
            output.show(profile_table(profile, "Each layer's part of the machine's run of the first sample"))
        if execution.rtl is not None:
            output.show(
                "These rows are the machine's; the RTL gives cycles of whole samples, which are compared below."
            )
    results = Table("Outputs of the first sample", ("output", "made by", "values"), left=3)
    for name, array in execution.outputs.items():
        flat = np.asarray(array[0]).reshape(-1)
        values = " ".join(f"{value:.6g}" if flat.dtype.kind == "f" else str(value) for value in flat[:16])
        maker = "the host" if hosted(execution, name) else f"layer {execution.graph.outputs[name]}"
        results.add(name, maker, values + (" …" if flat.size > 16 else ""))
    output.show(results)
    output.show(*verdict(execution))


def hosted(execution: Execution, output: str) -> bool:
    """Whether the host computes this output of the model."""
    return execution.graph.tail is not None and output in execution.graph.tail.outputs


def layer_table(execution: Execution, title: str) -> Table:
    """Every layer with its counts, and the codes that differ between the executions that ran."""
    pairs = list(execution.layer_mismatches())
    heads = [pair.replace("_", " ≠ ").replace("rtl", "RTL") for pair in pairs]
    table = Table(title, ("layer", "operator", "shape", "overflows", "clips", *heads), left=3)
    for row in execution.layer_rows():
        shape = "×".join(map(str, row["shape"]))
        table.add(row["name"], row["operator"], shape, row["overflows"], row["clips"], *row["mismatches"].values())
    return table


def verdict(execution: Execution) -> list[str]:
    """One line for each thing that was compared or counted beyond the layers' codes."""
    lines = []
    machine, rtl = execution.machine, execution.rtl
    if machine is not None:
        samples = len(machine.cycles_per_sample)
        lines.append(
            f"machine: {cell_text(machine.cycles // samples)} cycles per sample, "
            f"utilization {percent(execution.utilization() or 0)} of {accelerator_name(execution.config)}"
        )
    if machine is not None and rtl is not None:
        same = (
            "the same"
            if machine.cycles_per_sample == rtl.cycles_per_sample
            else f"not the same as the machine's {machine.cycles}"
        )
        lines.append(f"RTL: {cell_text(rtl.cycles)} cycles of all samples, {same}")
    for what, count in execution.other_mismatches().items():
        if count:
            lines.append(f"{what.replace('_', ' ')}: {cell_text(count)} differ")
    if machine is not None:
        lines.append("all executions agree" if execution.holds else "the executions DIFFER")
    return lines


def accelerator_name(config: AcceleratorConfig) -> str:
    """A config in a few words."""
    return f"{config.rows}×{config.columns} elements with a {accumulator_name(config.arithmetic)}"


def accumulator_name(arithmetic: Arithmetic) -> str:
    """An accumulator in a few words."""
    mode = {"saturate": "saturating", "wrap": "wrapping"}[arithmetic.overflow]
    return f"{arithmetic.accumulator_bits}-bit {mode} accumulator"


def as_dict(execution: Execution, model: Path, inputs: Path | None) -> dict[str, Any]:
    """For JSON."""
    result: dict[str, Any] = {
        "model": str(model),
        "inputs": "random codes" if inputs is None else str(inputs),
        "samples": execution.samples,
        "arithmetic": execution.graph.arithmetic.as_dict(),
        "layers": execution.layer_rows(),
        "outputs": output_values(execution.graph, execution.outputs),
        "holds": execution.holds,
    }
    if execution.machine is None:
        return result
    differing = execution.layer_mismatches()
    return result | {
        "config": execution.config.as_dict(),
        "compared_samples": len(execution.machine.cycles_per_sample),
        "mismatches": {pair: sum(found.values()) for pair, found in differing.items()} | execution.other_mismatches(),
        "cycles": {
            name: run.cycles
            for name, run in (("machine", execution.machine), ("rtl", execution.rtl))
            if run is not None
        },
        "cycles_per_sample": list(execution.machine.cycles_per_sample),
        "counters": {
            kind: {layer: values.tolist() for layer, values in layers.items()}
            for kind, layers in execution.machine.counters.items()
        },
        "telemetry": execution.machine.telemetry,
        "profile": {"of": "machine", "sample": 0, "layers": [row.as_dict() for row in execution.profile()]},
        "utilization": execution.utilization(),
    }
