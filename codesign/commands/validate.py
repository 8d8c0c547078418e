"""``lockstep validate``: the emulator against ONNX Runtime, and against the RTL where that is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from emulator.config import load_config

from ..console import Output, Phases
from ..execution import Execution, load_model
from ..execution.progress import run_machine, run_rtl
from ..execution.report import as_dict, layer_table, verdict
from ..inputs import input_types, load_inputs, quantized, read_inputs
from ..table import Table
from . import SAMPLES


def run(
    model: Path,
    inputs: Path | None,
    config_file: Path | None,
    rtl_samples: int,
    samples: int | None,
    simulator: str,
    override: bool,
    json_file: str | None,
) -> bool:
    """Compare every layer with ONNX Runtime's on equal inputs; returns whether all that differs are float32's ties."""
    from ..validate import LayerComparison, validate

    output = Output(json_file)
    if rtl_samples:
        import_module("rtl.simulation").find_simulator(simulator)
    config = None if config_file is None else load_config(config_file)
    graph, accelerator = load_model(model, config, override)
    arrays = None
    if inputs is not None:
        arrays = read_inputs(input_types(graph), inputs, samples)
        quantized(graph, arrays, inputs)  # no NaN, with the file named
        codes = [name for name, array in arrays.items() if array.dtype.kind != "f"]
        if codes:
            raise ValueError(f"{inputs}: input {codes[0]!r} must be floats: ONNX Runtime takes no codes")
    with Phases() as phases, phases.phase("emulator and ONNX Runtime"):
        arithmetic = None if config is None else config.arithmetic
        validation = validate(model, arrays, arithmetic, override, samples or SAMPLES["validate"])
    result: dict[str, Any] = {"model": str(model)} | validation.as_dict()
    holds = validation.holds

    def table(title: str, layers: tuple[LayerComparison, ...]) -> Table:
        made = Table(
            title, ("layer", "operator", "codes", "differ", "largest", "from a tie", "overflows", "explained"), 2
        )
        for layer in layers:
            tie = None if layer.tie_distance is None else f"{layer.tie_distance:.1e}"
            made.add(
                layer.name, layer.operator, layer.compared, layer.differing, layer.largest, tie, layer.overflows,
                layer.explained,
            )  # fmt: skip
        return made

    where = "" if validation.reference is validation.layers else "at ONNX Runtime's arithmetic, "
    if not where:
        output.show(table(f"{model.name}: emulator against ONNX Runtime", validation.layers))
    else:
        output.show(table(f"{model.name}: at its own arithmetic, where ONNX Runtime may differ", validation.layers))
        output.show(table(f"{model.name}: at ONNX Runtime's arithmetic", validation.reference))
    verdict_text = "all differences are explained by float32" if holds else "the emulator and ONNX Runtime DIFFER"
    output.show(where + verdict_text)
    if rtl_samples:
        execution = Execution(graph, accelerator, load_inputs(graph, inputs, rtl_samples))
        with Phases() as phases:
            run_machine(execution, phases)
            run_rtl(execution, phases, simulator=simulator)
        output.show(
            layer_table(execution, f"{model.name}: {execution.samples} samples in the RTL"), *verdict(execution)
        )
        result["rtl"] = as_dict(execution, model, inputs)
        holds = holds and execution.holds
    output.finish(result | {"holds": holds})
    return holds
