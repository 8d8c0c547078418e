"""The networks built in code: shapes, multiplications, codes that use their range."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.benchmarks.utilization import CONFIG
from codesign.networks import (
    MLPERF_TINY,
    NETWORKS,
    distinct_convolutions,
    gemm,
    layer_alone,
    macs,
    resnet8,
    resnet50,
    same_padding,
)
from compiler import compile_graph
from emulator import Arithmetic, Convolution, Graph, run_graph
from emulator.graph import to_logical
from emulator.graph.run import run_graph_counts


def codes(graph: Graph, seed: int, samples: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        t.name: to_logical(rng.integers(t.y_min, t.y_max, (samples, *t.shape), np.int8, endpoint=True))
        for t in graph.inputs
    }


@pytest.mark.parametrize(
    ("name", "expected", "weights"),
    [
        ("ResNet-18", 1_814_073_344, 11_678_912),
        ("ResNet-50", 4_089_184_256, 25_502_912),
        ("MobileNetV2", 300_774_272, 3_469_760),
        ("ResNet-8", 12_501_632, 77_360),
        ("DS-CNN", 2_656_768, 22_016),
        ("MobileNetV1-0.25", 7_489_664, 208_112),
        ("autoencoder", 264_192, 264_192),
    ],
)
def test_multiplications_and_weights_are_the_known_ones(name: str, expected: int, weights: int) -> None:
    graph = NETWORKS[name](Arithmetic(), images=0)
    assert macs(graph) == expected
    assert sum(node.weight.size for node in graph.nodes if hasattr(node, "weight")) == weights
    assert run_graph(graph, codes(graph, 0, samples=0))["output"].shape[1:] == graph.nodes[-1].shape


@pytest.mark.parametrize("name", MLPERF_TINY)
@pytest.mark.parametrize(
    "arithmetic", [Arithmetic(), Arithmetic(activation_bits=4, weight_bits=4, accumulator_bits=16, rounding="floor")]
)
def test_codes_use_their_range_on_other_data(name: str, arithmetic: Arithmetic) -> None:
    graph = NETWORKS[name](arithmetic)
    layers, counts = run_graph_counts(graph, codes(graph, 99, samples=4))
    low, high = arithmetic.activation_range
    for node in graph.nodes:
        made = layers[node.name]
        assert int(made.max()) - int(made.min()) >= (high - low) // 4, node.name
        above = (made == high).mean()  # below, the codes of a ReLU are expected
        assert above < 0.1 or made.size < 64, node.name
        if isinstance(node, Convolution):
            assert counts[node.name].overflows.sum() <= 0.1 * made.size, node.name


def test_one_seed_gives_one_network() -> None:
    first, second, third = (resnet8(Arithmetic(), seed) for seed in (1, 1, 2))
    x = codes(first, 3)
    np.testing.assert_array_equal(run_graph(first, x)["output"], run_graph(second, x)["output"])
    assert first.nodes[0].weight.tobytes() != third.nodes[0].weight.tobytes()


def test_resnet50_v1_5_has_its_stride_in_the_3x3_convolution() -> None:
    graph = resnet50(Arithmetic(), images=0)
    convolutions = [node for node in graph.nodes if isinstance(node, Convolution)]
    strided = {node.name: node.weight.shape[1] for node in convolutions if node.strides == (2, 2)}
    blocks = {f"layer{stage}.0.{name}": size for stage in (2, 3, 4) for name, size in (("conv2", 3), ("downsample", 1))}
    assert strided == {"conv1": 7, **blocks}
    layers = distinct_convolutions(graph)
    assert len(layers) == 23 and sum(graph.tensor(layer.inputs[0]).shape[2] >= 64 for layer in layers) == 22


def test_a_layer_alone_gives_the_codes_that_it_gives_in_the_network() -> None:
    graph = resnet8(Arithmetic())
    every = run_graph(graph, codes(graph, 4), every=True)
    alone = layer_alone(graph, "stack2.conv2")
    assert macs(alone) == 16 * 16 * 32 * 32 * 9
    np.testing.assert_array_equal(
        run_graph(alone, {"stack2.conv1": every["stack2.conv1"]})["output"], every["stack2.conv2"]
    )
    both = layer_alone(graph, "stack2.add")
    assert [tensor.name for tensor in both.inputs] == ["stack2.shortcut", "stack2.conv2"]


def test_gemm_is_a_convolution_of_pixels() -> None:
    graph = gemm(24, 20, 8, Arithmetic())
    assert graph.inputs[0].shape == (4, 6, 20) and macs(graph) == 24 * 20 * 8
    assert gemm(512, 4, 4, Arithmetic(), images=0).inputs[0].shape == (16, 32, 4)


def test_same_padding_is_tensorflows() -> None:
    assert same_padding((32, 32), (3, 3), (2, 2)) == (0, 0, 1, 1)
    assert same_padding((32, 32), (1, 1), (2, 2)) == (0, 0, 0, 0)
    assert same_padding((49, 10), (10, 4), (2, 2)) == (4, 1, 5, 1)


def test_the_program_of_resnet50_stays_under_a_mebibyte() -> None:
    program = compile_graph(resnet50(CONFIG.arithmetic, images=0), CONFIG)
    assert program.macs == 4_089_184_256
    assert program.program_bytes < 1 << 20
