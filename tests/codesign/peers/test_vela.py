"""Vela's reports against captured ones, and one real run on a network of ours."""

from __future__ import annotations

import pytest

from codesign.networks import NETWORKS, layer_alone, macs
from codesign.peers.estimators import installed
from codesign.peers.tflite_file import network_tflite
from codesign.peers.vela import read_layers, read_total, run_vela
from emulator import Arithmetic
from emulator.graph import Convolution, Linear

LAYERS = """Original Operator,NNG Operator,Target,Staging Usage,Peak% (Staging),Op Cycles,Network% (cycles),NPU,\
SRAM AC,DRAM AC,OnFlash AC,OffFlash AC,MAC Count,Network% (MAC),Util% (MAC),Name
Conv2D,Conv2D,NPU,20224,39.01234567901235,9062,6.3847026413871335,9062,4372,0,0,1248,442368,3.5,19.0,a;b/Conv2D
Conv2D,Relu,NPU,0,0.0,10,0.0,0,0,0,0,0,0,0.0,100,a;b/Conv2D
Conv2D,Conv2D,NPU,35472,68.42592592592592,14038,9.890582176097173,14038,6980,0,0,960,2359296,18.8,65.6,c
"""
SUMMARY = "experiment,network,cycles_npu,cycles_off_chip_flash_access,cycles_total\ndefault,n,107389,66688,141933\n"


def test_reports_are_read_by_their_columns() -> None:
    assert read_layers(LAYERS) == ({"a;b/Conv2D": 9072, "c": 14038}, {"a;b/Conv2D": 442368, "c": 2359296})
    assert read_total(SUMMARY) == 141933
    with pytest.raises(ValueError, match="per-layer CSV must have a column 'MAC Count'"):
        read_layers(LAYERS.replace("MAC Count", "MACs"))
    with pytest.raises(ValueError, match="summary CSV must have a column 'cycles_total'"):
        read_total("")
    with pytest.raises(ValueError, match="c: Vela leaves it to the CPU, of which it has no estimate"):
        read_layers(LAYERS.replace("Conv2D,NPU,35472", "Conv2D,CPU,35472"))


@pytest.mark.skipif(not installed("Vela"), reason="the package ethos-u-vela is not installed (extra correlation)")
def test_a_real_run_has_each_layer_with_its_multiplications() -> None:
    graph = NETWORKS["DS-CNN"](Arithmetic(), images=0)
    found = run_vela(network_tflite(graph), 32)
    for node in graph.nodes:
        if isinstance(node, Convolution | Linear):
            assert found.macs[node.name] == macs(layer_alone(graph, node.name))
            assert found.layers[node.name] * 256 >= found.macs[node.name]
    assert found.total == sum(found.layers.values()) and found.seconds > 0
    assert run_vela(network_tflite(graph), 400).total > found.total
    with pytest.raises(ValueError, match="Vela does not run it: "):
        run_vela(b"no model", 32)
