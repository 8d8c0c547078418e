"""The accelerator's Verilog: one module per kind, the same text every time, arrays of any shape."""

from __future__ import annotations

import gc
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic
from emulator.machine import Machine
from rtl import simulate
from rtl.accelerator import accelerator_verilog
from tests.graphs import random_graph


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 7), (8, 8)])
def test_one_module_per_kind(rows: int, columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = accelerator_verilog(AcceleratorConfig(rows=rows, columns=columns))
    names = re.findall(r"^module (\S+?)\s*\(", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert len([name for name in names if "processing_element" in name]) == 1
    assert len(re.findall(r"^  processing_element \S+ \(", text, re.MULTILINE)) == rows * columns
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))  # where nothing is kept
    assert text == accelerator_verilog.__wrapped__(AcceleratorConfig(rows=rows, columns=columns))


def test_an_interrupt_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path))
    monkeypatch.setattr("rtl.accelerator.write_verilog", interrupted)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            accelerator_verilog.__wrapped__(AcceleratorConfig(rows=1, columns=1))
        gc.collect()
    assert not [warning for warning in caught if warning.category is UnusedElaboratable]


def test_counters_can_be_left_out() -> None:
    """Three counters of 32 bits in each lane, in a memory of bytes, and the opcode that stores them."""
    for built in (True, False):
        text = accelerator_verilog(AcceleratorConfig(counters=built))
        counters = re.search(r"^module post_process_lane\S*counters\S*\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
        decoder = re.search(r"^module \w*decoder\w*\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
        assert decoder is not None and "is_requantize" in decoder[0]
        assert (counters is not None) == ("is_counters" in decoder[0]) == built
        assert counters is None or re.search(r"^  reg \[7:0\] \S+ *\[15:0\];", counters[0], re.MULTILINE)


def test_thirty_two_by_thirty_two() -> None:
    """The largest array that the tests build, on a network, in Verilator: equal to the machine."""
    arithmetic = Arithmetic(accumulator_bits=14, rounding="half_up")
    config = AcceleratorConfig(
        rows=32, columns=32, activation_scratchpad_bytes=32 * 128, weight_scratchpad_bytes=32 * 128,
        operand_scratchpad_bytes=32 * 128, output_scratchpad_bytes=32 * 128, accumulator_bytes=32 * 14 * 8,
        bus_bytes=32, arithmetic=arithmetic,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    graph = random_graph(rng, arithmetic, size=9)
    height, width, depth = graph.inputs[0].shape
    x = rng.integers(*(graph.inputs[0].y_min, 128), (1, depth, height, width), dtype=np.int8)
    program = compile_graph(graph, config)
    machine, rtl = Machine(config).run(program, {"input": x}), simulate(program, config, {"input": x})
    assert (rtl.memory, rtl.cycles, rtl.telemetry) == (machine.memory, machine.cycles, machine.telemetry)
