"""``lockstep diverge``: where two implementations of a model part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emulator.arithmetic import Arithmetic

from ..console import Output, Phases
from ..diverge import IMPLEMENTATIONS, diverge, sentence, write_page
from ..diverge.page import check_suffix, summary
from ..execution import ModelChoice
from ..files import check_writable
from ..inputs import graph_codes, load_inputs
from . import SAMPLES


def run(
    chosen: ModelChoice,
    between: tuple[str, str],
    inputs: Path | None,
    samples: int | None,
    simulator: str,
    file: Path | None,
    json_file: str | None,
) -> bool:
    """Run two implementations, show where they part and write the page to `file`; returns whether they agree."""
    output = Output(json_file)
    for name in between:
        if name not in IMPLEMENTATIONS:
            raise ValueError(f"an implementation must be one of {', '.join(IMPLEMENTATIONS)}, not {name!r}")
    if "torch" in between:
        raise ValueError("torch needs the prepared model, which no file holds: call codesign.diverge.diverge in Python")
    if file is not None:
        check_suffix(file)
        check_writable(file)
    graph, config = chosen.load()
    count = samples if samples is not None or inputs is not None else SAMPLES["diverge"]
    codes = graph_codes(graph, load_inputs(graph, inputs, count))
    core = replace(graph, head=None, tail=None)
    with Phases() as phases, phases.phase(" and ".join(between)):
        found = diverge(core, *between, codes, config=config, file=chosen.model, simulator=simulator)
    if file is not None:
        write_page(file, found, chosen.model.name)
    output.show(*summary(found, chosen.model.name))
    if "tflm" in between and not found.agree and graph.arithmetic != Arithmetic.tflm():
        output.show(
            "tflm computes in another arithmetic than this contract's: with --arithmetic tflm they are compared in it"
        )
    if file is not None:
        output.show(f"the page is {file}")
    output.finish(
        {"model": str(chosen.model), "inputs": "random codes" if inputs is None else str(inputs)}
        | found.as_dict()
        | {"sentence": sentence(found)}
    )
    return found.agree
