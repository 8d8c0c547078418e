"""Compiled graphs through torch, operators, machine and RTL, which must agree in everything that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import qat
from compiler import compile_graph, load_onnx
from emulator import AcceleratorConfig, Graph, LayerCounts, run_graph, run_graph_counts
from emulator.instructions import Error
from emulator.machine import Machine, Result, RunRecord, make_result
from emulator.program import Program
from rtl import simulate_images

Codes = dict[str, NDArray[np.int8]]


@dataclass(frozen=True, eq=False)
class Case:
    """A graph, its program and its inputs, {name: array, batch first}."""

    graph: Graph
    program: Program
    inputs: Mapping[str, NDArray[Any]]


def compiled(graph: Graph, config: AcceleratorConfig, inputs: Mapping[str, NDArray[Any]]) -> Case:
    return Case(graph, compile_graph(graph, config), inputs)


def exported(model: qat.PreparedModel, inputs: tuple[Tensor, ...], config: AcceleratorConfig, folder: Path) -> Case:
    """`model` by the way of its file, on the arguments `inputs`."""
    qat.export_onnx(model, folder / "model.onnx")
    graph = load_onnx(folder / "model.onnx")
    assert graph.arithmetic == config.arithmetic
    return compiled(graph, config, qat.host_inputs(model, *inputs))


def run_everywhere(
    config: AcceleratorConfig, cases: Sequence[Case], simulator: str, **memory: int
) -> list[tuple[Codes, dict[str, LayerCounts]]]:
    """The operators' codes and counts of every layer, per case, once all have been found equal.

    memory : latency and seed of the external memory; a seed other than 0 stalls it
    """
    parts = [case.program.images(case.inputs) for case in cases]
    images = [image for part in parts for image in part]
    addresses = [case.program.program_address for case, part in zip(cases, parts, strict=True) for _ in part]
    lengths = [case.program.program_bytes for case, part in zip(cases, parts, strict=True) for _ in part]
    rtl = simulate_images(config, images, addresses, lengths, simulator=simulator, **memory)
    assert_same(rtl, Machine(config, **memory).execute(images, addresses, lengths))
    found = []
    for index, (case, part) in enumerate(zip(cases, parts, strict=True)):
        records, rtl = rtl[: len(part)], rtl[len(part) :]
        assert all(record.error == Error.NONE for record in records)
        result = make_result(case.program, records)
        codes, counts = run_graph_counts(case.graph, case.inputs)
        assert_operators(f"case {index}", case, result, codes, counts)
        # The registers count the same events, so none of padded lanes.
        registers = sum(record.lane_counters.sum(axis=1) for record in records)
        totals = {kind: sum(int(n.sum()) for n in layers.values()) for kind, layers in result.counters.items()}
        assert (registers[0], registers[1] + registers[2]) == (totals["overflowed"], totals["clipped"])
        found.append((codes, counts))
    return found


def assert_same(rtl: Sequence[RunRecord], machine: Sequence[RunRecord]) -> None:
    """Memory images, errors, counters and cycles, run by run."""
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        assert not left.differences(right), f"run {index}: {left.differences(right)}"


def assert_operators(name: str, case: Case, result: Result, codes: Codes, counts: dict[str, LayerCounts]) -> None:
    """Outputs, layers and counters of a run are the operators'."""
    outputs = run_graph(case.graph, case.inputs)
    assert set(result.outputs) == set(outputs)
    for output, expected in outputs.items():
        np.testing.assert_array_equal(result.outputs[output], expected, err_msg=f"{name}: {output}")
    for layer, made in result.layers.items():
        np.testing.assert_array_equal(made, codes[layer], err_msg=f"{name}: {layer}")
    for layer, overflows in result.counters["overflowed"].items():
        np.testing.assert_array_equal(overflows, counts[layer].overflows, err_msg=f"{name}: {layer}")
        np.testing.assert_array_equal(
            result.counters["clipped"][layer], counts[layer].clips, err_msg=f"{name}: {layer}"
        )


def assert_torch(
    codes: Codes, overflows: Mapping[str, NDArray[np.int64]], expected: Codes, counts: Mapping[str, LayerCounts]
) -> int:
    """torch's codes and overflows are the operators'; returns how many overflows there are."""
    assert codes.keys() <= expected.keys(), codes.keys() - expected.keys()
    # What the graph has beyond that are steps of a layer: LAYER/…
    assert all(any(name.startswith(f"{layer}/") for layer in codes) for name in expected.keys() - codes.keys())
    for layer, made in codes.items():
        np.testing.assert_array_equal(made, expected[layer], err_msg=layer)
    for layer, made in overflows.items():
        computing = f"{layer}/codes" if f"{layer}/codes" in counts else layer  # a linear layer of sequences
        np.testing.assert_array_equal(made, counts[computing].overflows, err_msg=layer)
    return sum(int(made.sum()) for made in overflows.values())
