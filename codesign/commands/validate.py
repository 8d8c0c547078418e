"""``lockstep validate``: the emulator against another runtime, and against the RTL where that is asked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..console import Output, Phases
from ..execution import Execution, ModelChoice
from ..execution.progress import run_machine, run_rtl
from ..execution.report import as_dict, layer_table, verdict
from ..inputs import graph_codes, input_types, load_inputs, read_inputs, takes_codes
from ..peers.runtimes import NAMES, RUNTIMES
from . import SAMPLES


def run(
    chosen: ModelChoice,
    inputs: Path | None,
    against: str | None,
    rtl_samples: int,
    samples: int | None,
    simulator: str,
    json_file: str | None,
) -> bool:
    """Compare every layer with a runtime's on equal inputs, and the outputs; returns whether all is explained."""
    from ..validate import validate
    from ..validate.report import report

    output = Output(json_file)
    if against is not None and against not in RUNTIMES:
        raise ValueError(f"--against must be one of {', '.join(RUNTIMES)}, not {against!r}")
    if rtl_samples:
        import_module("rtl.simulation").find_simulator(simulator)
    graph, accelerator = chosen.load()
    arrays = None
    if inputs is not None:
        arrays = read_inputs(input_types(graph), inputs, samples)
        graph_codes(graph, arrays, inputs)  # no NaN, with the file named
        codes = [name for name, array in arrays.items() if array.dtype.kind != "f"] if takes_codes(graph) else []
        if codes and against in (None, "onnxruntime") and not graph.inputs[0].channels_last:
            raise ValueError(f"{inputs}: input {codes[0]!r} must be floats: ONNX Runtime takes no codes")
    with Phases() as phases, phases.phase(f"emulator and {NAMES.get(against or '', 'the runtime')}"):
        validation = validate(
            chosen.model,
            arrays,
            graph.arithmetic,
            True,
            samples or SAMPLES["validate"],
            against=against,
            outputs=chosen.outputs or None,
        )
    result: dict[str, Any] = {"model": str(chosen.model)} | validation.as_dict()
    holds = validation.holds
    output.show(*report(validation, chosen.model.name))
    if rtl_samples:
        execution = Execution(graph, accelerator, load_inputs(graph, inputs, rtl_samples))
        with Phases() as phases:
            run_machine(execution, phases)
            run_rtl(execution, phases, simulator=simulator)
        title = f"{chosen.model.name}: {execution.samples} samples in the RTL"
        output.show(layer_table(execution, title), *verdict(execution))
        result["rtl"] = as_dict(execution, chosen.model, inputs)
        holds = holds and execution.holds
    output.finish(result | {"holds": holds})
    return holds
