"""SCALE-Sim's files and report against plain arithmetic; and one real run of each dataflow."""

from __future__ import annotations

import configparser
import math
from dataclasses import replace

import pytest

from codesign.networks import NETWORKS, NetworkBuilder, layer_alone, macs
from codesign.peers.estimators import installed
from codesign.peers.scalesim import Layer, LayerCycles, configuration, layers, read_report, run_scalesim, topology
from emulator import AcceleratorConfig, Arithmetic

REPORT = """LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, Mapping Efficiency %, \
Compute Util %,
0, 6542, 2717, 5, 84.8, 100.0, 80.75709779179812,
1, 253, 187, 0, 1.3368983957219251, 62.5, 1.0080645161290323,
2, 254, 188, 1, 1.3368983957219251, 62.5, 1.0080645161290323,
"""
GIVEN = [Layer("a", 18, 18, (3, 3), 16, 16), Layer("b", 1, 1, (1, 1), 64, 10, copies=2)]


@pytest.mark.parametrize("name", ["ResNet-8", "DS-CNN", "MobileNetV1-0.25", "autoencoder", "ResNet-18"])
def test_layers_have_the_networks_multiplications(name: str) -> None:
    """By SCALE-Sim's own count of output rows and columns, ceil((map − kernel + stride) / stride)."""
    graph = NETWORKS[name](Arithmetic(), images=0)
    given = layers(graph)
    assert len(given) == sum(type(node).__name__ in ("Convolution", "Linear") for node in graph.nodes)
    for layer in given:
        outputs = 1
        for size, kernel in zip((layer.height, layer.width), layer.kernel, strict=True):
            outputs *= math.ceil((size - kernel + layer.stride) / layer.stride)
        count = outputs * math.prod(layer.kernel) * layer.channels * layer.filters * layer.copies
        assert count == macs(layer_alone(graph, layer.name)), layer


def test_a_map_reaches_as_far_as_its_windows() -> None:
    net = NetworkBuilder(Arithmetic(), images=0)
    x = net.convolution(net.input((32, 32, 8)), 16, (3, 3), "padded", strides=(2, 2), padding=(1, 1, 1, 1))
    x = net.convolution(x, 16, (3, 3), "depthwise", padding=(1, 1, 1, 1), groups=16)
    graph = net.finish(net.linear(net.average_pool(x, "pool"), 10, "dense"))
    assert layers(graph) == [
        Layer("padded", 33, 33, (3, 3), 8, 16, 2),
        Layer("depthwise", 18, 18, (3, 3), 1, 1, 1, 16),
        Layer("dense", 1, 1, (1, 1), 16, 10),
    ]


def test_what_it_cannot_express_is_named() -> None:
    net = NetworkBuilder(Arithmetic(), images=0)
    graph = net.finish(net.convolution(net.input((8, 8, 2)), 4, (3, 3), "uneven", strides=(1, 2)))
    with pytest.raises(ValueError, match=r"uneven: SCALE-Sim has one stride for both axes, not \(1, 2\)"):
        layers(graph)
    (node,) = graph.nodes
    dilated = replace(node, name="dilated", strides=(1, 1), dilations=(2, 1))
    with pytest.raises(ValueError, match=r"dilated: SCALE-Sim has no dilations, not \(2, 1\)"):
        layers(replace(graph, nodes=(dilated,)))


def test_the_config_in_its_keys() -> None:
    config = AcceleratorConfig(
        rows=8,
        columns=4,
        dataflow="output_stationary",
        activation_scratchpad_bytes=5000,
        weight_scratchpad_bytes=3072,
        output_scratchpad_bytes=4096,
        accumulator_bytes=8192,
        bus_bytes=32,
        arithmetic=Arithmetic(accumulator_bits=32),
    )
    parser = configparser.ConfigParser()
    parser.read_string(configuration(config))
    preset, layout = parser["architecture_presets"], parser["layout"]
    assert [preset[key] for key in ("ArrayHeight", "ArrayWidth", "Dataflow", "Bandwidth")] == ["8", "4", "os", "32"]
    # 5000 bytes are 5 KiB; 4096 codes and 2048 sums of 4 bytes are 6 × 1024 words.
    assert [preset[f"{key}sramszkB"] for key in ("ifmap", "filter", "ofmap")] == ["5", "3", "6"]
    assert layout["IfmapSRAMBankBandwidth"] == layout["FilterSRAMBankBandwidth"] == "32"


def test_the_topology_has_a_line_for_each_copy() -> None:
    assert topology([replace(GIVEN[0], name="DP,1", stride=2), GIVEN[1]]).splitlines()[1:] == [
        "L1, 18, 18, 3, 3, 16, 16, 2,",
        "L2, 1, 1, 1, 1, 64, 10, 1,",
        "L3, 1, 1, 1, 1, 64, 10, 1,",
    ]


def test_the_report_is_read_by_its_columns() -> None:
    assert read_report(REPORT, GIVEN) == {"a": LayerCycles(2717, 6542, 5), "b": LayerCycles(375, 507, 1)}
    with pytest.raises(ValueError, match="must have 4 lines, not 3"):
        read_report(REPORT, [*GIVEN, GIVEN[0]])
    with pytest.raises(ValueError, match="must have a column 'Stall Cycles'"):
        read_report(REPORT.replace("Stall", "Other"), GIVEN)


@pytest.mark.skipif(not installed("SCALE-Sim"), reason="the package scalesim is not installed (extra correlation)")
def test_real_runs() -> None:
    """Cycles of the folds of a layer, by SCALE-Sim's paper (Samajdar et al., 2020): 2·rows + columns + T − 2 each.

    T is the number of output positions. Output stationary a fold takes rows + columns + depth − 2. The report has the
    number of the last cycle, one less than there are.
    """
    given = [Layer("conv", 8, 8, (3, 3), 4, 10), Layer("depthwise", 6, 6, (3, 3), 1, 1, copies=3)]
    config = AcceleratorConfig(rows=8, columns=8)
    found = run_scalesim(given, config)
    # 36 × 10 weights are 5 × 2 folds, 6 × 6 positions each; 9 × 1 are 2 folds of 4 × 4 positions.
    assert found.layers["conv"].total == 10 * (2 * 8 + 8 + 36 - 2) - 1
    assert found.layers["depthwise"].total == 3 * (2 * (2 * 8 + 8 + 16 - 2) - 1)
    assert all(cycles.with_prefetch > cycles.total and cycles.stalls == 0 for cycles in found.layers.values())
    assert found.seconds > 0
    stationary = run_scalesim(given[:1], replace(config, dataflow="output_stationary"))
    # 36 positions × 10 outputs are 5 × 2 folds of depth 36.
    assert stationary.layers["conv"].total == 10 * (8 + 8 + 36 - 2) - 1
    with pytest.raises(ValueError, match="SCALE-Sim does not run it: AssertionError: Filter height"):
        run_scalesim([Layer("wrong", 2, 2, (3, 3), 1, 1)], config)
