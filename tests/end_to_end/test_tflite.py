"""TFLite files the whole way: TFLM's codes in the emulator, the machine and the RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.peers.tflm import run_tflm
from compiler import compile_graph, load_model
from emulator import AcceleratorConfig, Arithmetic, Machine, run_graph
from rtl import simulate
from tests.compiler.tflite.random_net import RandomNet
from tests.compiler.tflite.test_mlperf_tiny import FOLDER, NAMES
from tests.compiler.tflite.whole import classifier, mixture, upscaler

pytest.importorskip("tflite_micro", reason="the package tflite-micro is not installed (extra tflm)")

CONFIG = AcceleratorConfig(rows=4, columns=4, arithmetic=Arithmetic.tflm())
MLPERF = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the networks are not in {FOLDER}")


def check(path: Path, inputs: dict[str, np.ndarray], rtl: bool = False) -> None:
    """The outputs are TFLM's, all layers the emulator's, and machine and RTL have one memory and one cycle count."""
    graph = load_model(path, Arithmetic.tflm())
    program = compile_graph(graph, CONFIG)
    expected, layers = run_tflm(path, inputs), run_graph(graph, inputs, every=True)
    machine = Machine(CONFIG).run(program, inputs)
    results = [machine]
    if rtl:
        results.append(simulate(program, CONFIG, inputs, "verilator"))
        assert (results[1].cycles, results[1].memory) == (machine.cycles, machine.memory)
    for result in results:
        assert list(result.outputs) == list(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(result.outputs[name], array, err_msg=name)
        assert result.layers
        for name, array in result.layers.items():
            np.testing.assert_array_equal(array, layers[name], err_msg=name, strict=True)


@MLPERF
@pytest.mark.parametrize("name", NAMES)
def test_mlperf_tiny_in_the_machine(name: str) -> None:
    path = FOLDER / f"mlperf_tiny_{name}.tflite"
    (tensor,) = load_model(path).inputs
    codes = np.random.default_rng(0).integers(-128, 128, (1, *tensor.shape)).astype(np.int8)
    check(path, {tensor.name: codes})


@MLPERF
def test_mlperf_tiny_in_the_rtl() -> None:
    """The smallest of the five; `lockstep benchmark frontdoor` takes all of them."""
    path = FOLDER / "mlperf_tiny_wakeword.tflite"
    (tensor,) = load_model(path).inputs
    codes = np.random.default_rng(1).integers(-128, 128, (1, *tensor.shape)).astype(np.int8)
    check(path, {tensor.name: codes}, rtl=True)


@pytest.mark.parametrize("make", [classifier, mixture, upscaler])
def test_small_networks_in_the_rtl(tmp_path: Path, make: object) -> None:
    net = make()
    check(net.save(tmp_path), net.codes(2), rtl=True)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_in_the_machine(tmp_path: Path, seed: int) -> None:
    net = RandomNet(500 + seed)
    check(net.save(tmp_path), net.codes(2))
