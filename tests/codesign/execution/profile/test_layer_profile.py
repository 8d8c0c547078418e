"""A run's layers: cycles, bytes and work add up to the run's own counters, whatever the network and the array."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from codesign.benchmarks.utilization import CONFIG as LARGE
from codesign.execution.profile import LayerProfile, profile
from codesign.networks import NETWORKS, NetworkBuilder, gemm
from codesign.utilization import measure, random_inputs
from compiler import compile_graph
from compiler.emit.cut.packing import packs
from emulator import AcceleratorConfig, Arithmetic, Convolution, Graph, Linear, Machine, Reshape, Tensor
from emulator.instructions import Error, Unit
from emulator.machine.result import RunRecord
from emulator.program import Program
from tests.graphs import ALL_TAPS, random_arithmetic, random_config, random_graph


def run(graph: Graph, config: AcceleratorConfig, latency: int = 16, seed: int = 0) -> tuple[Program, RunRecord]:
    program = compile_graph(graph, config)
    images = program.images(random_inputs(graph))
    machine = Machine(config, latency, seed)
    return program, machine.execute(images, program.program_address, program.program_bytes, timeline=True)[0]


def checked(graph: Graph, config: AcceleratorConfig, latency: int = 16, seed: int = 0) -> list[LayerProfile]:
    """The profile of a run, whose sums are the run's."""
    program, record = run(graph, config, latency, seed)
    rows, counters = profile(program, config, record, graph), record.counters
    assert [row.start for row in rows] == [0, *(row.end for row in rows[:-1])] and rows[-1].end == record.cycles
    assert all(row.cycles > 0 or not row.busy["convolve"] for row in rows)
    assert sum(row.bytes_read + row.bytes_fetched for row in rows) == counters["bytes_read"]
    assert sum(row.bytes_written for row in rows) == counters["bytes_written"]
    assert sum(row.bytes_fetched for row in rows) == program.program_bytes
    for unit in Unit:
        name = unit.name.lower()
        assert sum(row.busy[name] for row in rows) == counters[f"{name}_busy"], name
    elements = config.rows * config.columns
    assert sum(row.busy["convolve"] for row in rows) * elements == counters["macs"]
    whole = sum(row.utilization * row.cycles for row in rows) * elements
    assert round(whole) == sum(row.macs for row in rows if row.busy["convolve"])
    assert sum(row.macs for row in rows) == program.macs
    assert all(0 <= share <= 1 for row in rows for share in row.shares.values())
    begins_and_ends = array_times(program, record)
    assert set(begins_and_ends) == {row.name for row in rows if row.busy["convolve"]}
    for row in rows:
        begin, end = begins_and_ends.get(row.name, (row.start, row.end))
        assert row.start <= begin and end <= row.end, row.name
        assert row.utilization <= row.busy["convolve"] / max(row.cycles, 1) <= 1, row.name
    nodes = [name for row in rows for name in row.nodes]
    assert len(set(nodes)) == len(nodes) and set(nodes) <= {node.name for node in graph.nodes}
    assert set(graph.outputs.values()) <= {row.name for row in rows}
    return rows


def array_times(program: Program, record: RunRecord) -> dict[str, tuple[int, int]]:
    """Cycles in which the array begins and ends with a layer; it begins with none while it is at another one."""
    assert record.timeline is not None
    found: dict[str, tuple[int, int]] = {}
    free = 0
    for name, (unit, start, end) in zip(program.layers, record.timeline.tolist(), strict=True):
        if unit == Unit.CONVOLVE:
            found[name] = (found[name][0] if name in found else max(start, free), end)
            free = end
    return found


def test_random_graphs_add_up_on_any_array_with_any_memory() -> None:
    """Both dataflows, with and without counters, buses with stalls; what has been seen is counted."""
    seen: Counter[str] = Counter()
    for seed in range(30):
        rng = np.random.default_rng([seed, 77])
        arithmetic = random_arithmetic(rng)
        graph = random_graph(rng, arithmetic)
        config = random_config(rng, arithmetic, int(rng.integers(1, 9)), int(rng.integers(1, 9)), ALL_TAPS)
        rows = checked(graph, config, latency=int(rng.integers(1, 40)), seed=int(rng.integers(0, 3)))
        seen.update(row.operator for row in rows)
        seen.update([config.dataflow, f"counters {config.counters}"])
        seen["depthwise"] += sum(isinstance(node, Convolution) and node.groups > 1 for node in graph.nodes)
        seen["packed"] += sum(isinstance(node, Convolution) and packs(node, config.rows) for node in graph.nodes)
    for what in ("weight_stationary", "output_stationary", "counters True", "counters False", "depthwise", "packed"):
        assert seen[what] >= 5, seen
    for what in (
        "Convolution + Add",
        "Convolution + Add + LookupTable",
        "Linear",
        "MaxPool",
        "AveragePool",
        "Transpose",
    ):
        assert seen[what] >= 1, seen


@pytest.mark.parametrize("name", ["ResNet-8", "DS-CNN"])
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_networks_add_up(name: str, dataflow: str) -> None:
    config = replace(LARGE, dataflow=dataflow)
    graph = NETWORKS[name](config.arithmetic)
    rows = checked(graph, config)
    fused = [row for row in rows if len(row.nodes) > 1]
    assert all(row.nodes[-1] == row.name for row in rows)
    assert len(fused) == (3 if name == "ResNet-8" else 0)
    kind, least = ("compute", 6) if name == "ResNet-8" else ("shape", 4)
    assert len([row for row in rows if row.bound.kind == kind]) >= least


def test_a_layer_by_plain_arithmetic() -> None:
    """A 1×1 convolution, 16 to 16 channels, of a 4×4 map on 8×8 elements and a bus of 8 bytes; without counters."""
    config = AcceleratorConfig(rows=8, columns=8, bus_bytes=8, counters=False)
    net = NetworkBuilder(config.arithmetic, seed=1)
    x = net.input((4, 4, 16))
    graph = net.finish(net.convolution(x, 16, (1, 1), "mix", activation=None))
    (row,) = checked(graph, config)
    weights = 16 * 16
    parameters = 2 * 9 * 8  # two blocks of columns, nine rows of an entry
    assert row.bytes_read == 4 * 4 * 16 + weights + parameters
    assert row.bytes_written == 4 * 4 * 16
    assert row.bytes_fetched == 32 * (row.instructions + 1)  # and HALT
    assert row.macs == 4 * 4 * 16 * 16
    assert row.busy["convolve"] == 4 * 4 * 2 * 2  # positions, tiles of K, blocks of columns
    assert row.busy["post_process"] == 4 * 4 * 2
    assert row.intensity == 4096 / (656 + 256 + row.bytes_fetched)
    assert row.utilization == 4096 / (row.cycles * 64)
    assert (row.name, row.nodes, row.operator, row.shape) == ("mix", ("mix",), "Convolution", (16, 4, 4))


def test_what_bounds_extreme_layers() -> None:
    def bound(graph: Graph, config: AcceleratorConfig) -> str:
        rows = checked(graph, config)
        return rows[-1].bound.kind

    def convolution(shape: tuple[int, int, int], channels: int) -> Graph:
        net = NetworkBuilder(Arithmetic(), seed=2)
        return net.finish(net.convolution(net.input(shape), channels, (3, 3), "conv", activation=None))

    one_row = gemm(1, 1024, 1024, Arithmetic())
    assert bound(one_row, replace(LARGE, bus_bytes=8)) == "bus"  # 32 cycles a tile of 256 bytes
    assert bound(one_row, replace(LARGE, bus_bytes=32)) == "latency"  # 8 a tile, which waits 20 for the one before
    assert bound(convolution((40, 40, 3), 16), LARGE) == "shape"
    assert bound(convolution((28, 28, 64), 64), LARGE) == "compute"


def test_one_layers_bound_is_the_whole_runs() -> None:
    """What `Measurement` says of a run, from the hardware's counters, is what the profile says of its only layer."""
    for graph in (gemm(64, 64, 64, Arithmetic()), gemm(1, 512, 256, Arithmetic()), gemm(300, 16, 16, Arithmetic())):
        measured = measure(graph, LARGE, latency=16)
        (row,) = checked(graph, LARGE)
        assert row.bound.reason == measured.bound()
        assert row.utilization == measured.utilization


def test_a_layer_ends_where_the_array_begins_with_the_next_one() -> None:
    """Two layers of one input: the second one's array runs while the first one's codes are stored."""
    net = NetworkBuilder(Arithmetic(), seed=3)
    x = net.input((12, 12, 16))
    a = net.convolution(x, 16, (3, 3), "a")
    b = net.convolution(x, 16, (3, 3), "b")
    graph = net.finish(net.add(a, b, "sum"))
    first, second = checked(graph, LARGE)
    assert (first.nodes, second.nodes) == (("a",), ("b", "sum"))
    program, record = run(graph, LARGE)
    assert record.timeline is not None
    stored = max(end for name, (*_, end) in zip(program.layers, record.timeline.tolist(), strict=True) if name == "a")
    assert first.end == array_times(program, record)["sum"][0] < stored
    for row in (first, second):
        assert row.shares["array"] * row.cycles == pytest.approx(row.busy["convolve"], abs=1e-9)


def test_the_array_is_never_more_than_full() -> None:
    """ResNet-8's stack1.conv1 begins on a full array before the layer in front of it is stored."""
    graph = NETWORKS["ResNet-8"](LARGE.arithmetic)
    rows = {row.name: row for row in checked(graph, LARGE)}
    program, record = run(graph, LARGE)
    assert record.timeline is not None
    stored = max(
        end for name, (*_, end) in zip(program.layers, record.timeline.tolist(), strict=True) if name == "conv"
    )
    assert rows["conv"].end == rows["stack1.conv1"].start < stored
    assert 0.99 < rows["stack1.conv1"].utilization <= 1


def test_an_instruction_that_waits_for_the_one_before_in_its_unit_works_behind_it() -> None:
    """The unit takes the second layer's CONVOLVE in cycle 0, too, and works on it from 1000 to 5000."""
    net = NetworkBuilder(Arithmetic(), seed=3)
    x = net.convolution(net.input((6, 6, 16)), 16, (1, 1), "a")
    graph = net.finish(net.convolution(x, 16, (1, 1), "b"))
    program, record = run(graph, LARGE)
    assert record.timeline is not None
    timeline = record.timeline.copy()
    assert record.cycles < 1000
    first, second = np.flatnonzero(timeline[:, 0] == Unit.CONVOLVE)
    assert (program.layers[first], program.layers[second]) == ("a", "b")
    timeline[first, 1:], timeline[second, 1:] = (0, 1000), (0, 5000)
    a, b = profile(program, LARGE, replace(record, timeline=timeline, cycles=5000), graph)
    assert (a.start, a.end, b.end) == (0, 1000, 5000)
    assert a.busy["convolve"] == b.busy["convolve"] == 36
    assert a.shares["array"] == 36 / 1000 and b.shares["array"] == 36 / 4000


def test_rows_are_json() -> None:
    rows = checked(gemm(8, 16, 16, Arithmetic()), LARGE)
    (made,) = json.loads(json.dumps([row.as_dict() for row in rows]))
    assert made["cycles"] == rows[0].cycles and made["shape"] == list(rows[0].shape)
    assert made["bound"] == rows[0].bound.kind and made["reason"] == rows[0].bound.reason
    assert made["busy"] == rows[0].busy and made["intensity"] == rows[0].intensity


def test_a_program_that_only_halts_has_no_rows() -> None:
    source = Tensor(name="x", shape=(2, 3, 4), scale=0.1, zero_point=0)
    flat = Reshape(name="flat", shape=(24,), inputs=("x",), scale=0.1, zero_point=0)
    graph = Graph(inputs=(source,), nodes=(flat,), outputs={"y": "flat"}, arithmetic=Arithmetic())
    program, record = run(graph, LARGE)
    assert len(program.instructions) == 1 and profile(program, LARGE, record, graph) == []


def test_what_cannot_be_taken_apart_is_refused() -> None:
    graph = gemm(8, 16, 16, Arithmetic())
    program, record = run(graph, LARGE)
    for wrong_program, wrong_record, message in (
        (program, replace(record, timeline=None), "record must have a timeline"),
        (program, replace(record, error=Error.BUS), "came to its end, not to the error BUS"),
        (replace(program, layers=()), record, "program must name the layer of each instruction"),
        (replace(program, config_hash="0" * 64), record, "another config"),
    ):
        with pytest.raises(ValueError, match=message):
            profile(wrong_program, LARGE, wrong_record, graph)
    assert isinstance(graph.nodes[0], Convolution | Linear)
