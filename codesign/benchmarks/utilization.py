"""How busy the array is, layer by layer and in whole networks, as the cycle-exact machine counts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from emulator.arithmetic import Arithmetic
from emulator.config import DEPTHWISE_TAPS, KIB, AcceleratorConfig
from emulator.graph import Graph
from emulator.graph.run import run_graph

from ..execution.comparison import mismatches
from ..networks import MLPERF_TINY, NETWORKS, distinct_convolutions, gemm, layer_alone, resnet50
from ..utilization import Measurement, measure
from .rows import row

LATENCY = 32
"""Cycles from a read's address to its first beat."""
CONFIG = AcceleratorConfig(
    rows=16,
    columns=16,
    activation_scratchpad_bytes=104 * KIB,
    weight_scratchpad_bytes=88 * KIB,
    operand_scratchpad_bytes=27 * KIB,
    output_scratchpad_bytes=30 * KIB,
    accumulator_bytes=64 * KIB,
    bus_bytes=16,
    arithmetic=Arithmetic(accumulator_bits=32),
)
"""16×16, 64 KiB of accumulators, 16 bytes per cycle; 249 KiB of scratchpads leave 7 KiB for parameters and tables."""
CHANNELS = 64
"""Layers of fewer input channels than this are not measured alone."""
MATRICES = ((512, 512, 512), (1024, 768, 768))
SIZES = (8, 16, 32)
SCALING_LAYER = "layer2.1.conv2"
DEPTHWISE_CYCLES = {
    "MobileNetV2": (1_600_000, 2_807_310),
    "MobileNetV1-0.25": (55_000, 133_193),
    "DS-CNN": (18_500, 44_162),
}
"""Networks with depthwise convolutions: most cycles with nine taps a cycle in the lanes, and with dense blocks."""
RTL_LAYERS = ("layer2.1.conv2", "layer4.0.downsample")
"""Layers that are also run in Verilator where that is asked for: with and without a window."""
MOST_SECONDS, MOST_MEBIBYTES = 60, 2048

# Time and memory of the machine in a process of its own, in which nothing else has set the mark before; the network is
# built and compiled there too, so the memory is that of the whole way. The small run compiles or loads the cycle loop.
MACHINE_SCRIPT = """
import json, re, resource, sys, time
from codesign.benchmarks.utilization import CONFIG, LATENCY
from codesign.networks import gemm, resnet50
from codesign.utilization import measure, random_inputs
from compiler import compile_graph
from emulator import Machine

def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

measure(gemm(32, 32, 32, CONFIG.arithmetic), CONFIG, LATENCY)
graph = resnet50(CONFIG.arithmetic)
program, inputs = compile_graph(graph, CONFIG), random_inputs(graph)
machine = Machine(CONFIG, LATENCY)
start = time.perf_counter()
result = machine.run(program, inputs)
print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak(), "cycles": result.cycles}))
"""


def rows(rtl: bool = False) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes about a minute on two cores.

    rtl : also run some layers in Verilator; every bit and every cycle must be the machine's
    """
    network = resnet50(CONFIG.arithmetic)
    table = [*_alone(network), *_whole(network), *_tiny(), *_depthwise(), *_scaling(network), *_machine()]
    return [*table, *_in_verilator(network)] if rtl else table


def _alone(network: Graph) -> Iterable[dict[str, Any]]:
    for layer in distinct_convolutions(network):
        source = network.tensor(layer.inputs[0])
        if source.shape[2] >= CHANNELS:
            measured = measure(layer_alone(network, layer.name), CONFIG, LATENCY)
            kernel = f"{layer.weight.shape[1]}×{layer.weight.shape[2]}"
            stride = f" / {layer.strides[0]}" if layer.strides != (1, 1) else ""
            shapes = f"{'×'.join(map(str, source.shape))} → {'×'.join(map(str, layer.shape))}, {kernel}{stride}"
            yield _share(f"{layer.name}: {shapes}", measured, 95)
    for m, k, n in MATRICES:
        yield _share(f"GEMM {m}×{k}×{n}", measure(gemm(m, k, n, CONFIG.arithmetic), CONFIG, LATENCY), 97)


def _whole(network: Graph) -> Iterable[dict[str, Any]]:
    measured = measure(network, CONFIG, LATENCY)
    yield _share("ResNet-50, image to logits", measured, 90)
    yield row("ResNet-50: cycles", measured.result.cycles, "cycles")
    program = measured.program.program_bytes / (1 << 20)
    yield row("ResNet-50: program", program, "MiB", "≤ 1", program <= 1)
    expected = run_graph(network, measured.inputs, every=True)
    differing = mismatches({name: expected[name] for name in measured.result.layers}, measured.result.layers)
    count = sum(differing.values())
    yield row("ResNet-50: codes of all layers that differ from the emulator's", count, "codes", "= 0", count == 0)


def _tiny() -> Iterable[dict[str, Any]]:
    for name in MLPERF_TINY:
        measured = measure(NETWORKS[name](CONFIG.arithmetic), CONFIG, LATENCY)
        yield row(f"{name}: of {_peak()}; bounded by {measured.bound()}", 100 * measured.utilization, "%")


def _depthwise() -> Iterable[dict[str, Any]]:
    for name, (most, dense) in DEPTHWISE_CYCLES.items():
        network = NETWORKS[name](CONFIG.arithmetic)
        for taps in reversed(DEPTHWISE_TAPS):
            cycles = measure(network, replace(CONFIG, depthwise_taps=taps), LATENCY).result.cycles
            target = {9: most, 0: dense}.get(taps)
            what = f"{name}, depthwise by {f'{taps} taps a cycle in the lanes' if taps else 'dense blocks'}: cycles"
            yield row(what, cycles, "cycles", f"≤ {target}" if target else None, cycles <= target if target else None)


def _scaling(network: Graph) -> Iterable[dict[str, Any]]:
    layer = layer_alone(network, SCALING_LAYER)
    cycles = {size: measure(layer, replace(CONFIG, rows=size, columns=size), LATENCY).result.cycles for size in SIZES}
    for small, large in pairwise(SIZES):
        ratio = cycles[small] / cycles[large]
        name = f"{SCALING_LAYER}: cycles of {small}×{small} over those of {large}×{large}"
        yield row(name, ratio, "×", "≥ 3.6", ratio >= 3.6)


def _machine() -> Iterable[dict[str, Any]]:
    command = [sys.executable, "-c", MACHINE_SCRIPT]
    measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    seconds, mebibytes = measured["seconds"], measured["peak"] / (1 << 20)
    yield row("machine emulator, ResNet-50: time", seconds, "s", f"≤ {MOST_SECONDS}", seconds <= MOST_SECONDS)
    yield row(
        "machine emulator, ResNet-50: peak memory", mebibytes, "MiB", f"≤ {MOST_MEBIBYTES}", mebibytes <= MOST_MEBIBYTES
    )


def _in_verilator(network: Graph) -> Iterable[dict[str, Any]]:
    from rtl import simulate

    for name in RTL_LAYERS:
        measured = measure(layer_alone(network, name), CONFIG, LATENCY)
        result = simulate(measured.program, CONFIG, measured.inputs, latency=LATENCY)
        cycles = abs(result.cycles - measured.result.cycles)
        yield row(f"{name}: cycles of the RTL that the machine's differ by", cycles, "cycles", "= 0", cycles == 0)
        count = sum(a != b for a, b in zip(result.memory, measured.result.memory, strict=True))
        yield row(f"{name}: bytes of the RTL's memory that differ", count, "bytes", "= 0", count == 0)


def _share(name: str, measured: Measurement, target: int) -> dict[str, Any]:
    percent = 100 * measured.utilization
    return row(f"{name}: of {_peak()}", percent, "%", f"≥ {target}", percent >= target)


def _peak() -> str:
    return f"{CONFIG.rows * CONFIG.columns} MACs/cycle"
