"""`diverge` of machine and RTL: the first cycle and signal, too."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from codesign.diverge import diverge, page_markdown
from codesign.diverge.cycles import compare, first_cycle
from codesign.diverge.signals import MEANINGS, machine_rows
from compiler import compile_graph
from emulator import Graph, Machine, run_graph
from emulator.instructions import Opcode
from tests.codesign.diverge import planted
from tests.codesign.diverge.planted import CONFIG, FAULTS, check_element, plant_rtl


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_the_rtl(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray], fault: str
) -> None:
    """Machine against RTL: the first cycle and signal too. The faulty machine is the oracle of the faulty RTL."""
    planted_fault, layer = FAULTS[fault]
    program = compile_graph(graph, CONFIG)
    images = [planted_fault(program, image) for image in program.images(codes)]
    records = Machine(CONFIG).execute(images, program.program_address, program.program_bytes, timeline=True)
    faulty = np.concatenate([program.read(record.memory, layer) for record in records])
    plant_rtl(monkeypatch, graph, planted_fault)
    found = diverge(graph, "machine", "rtl", codes, config=CONFIG)
    check_element(found, layer, "rtl", run_graph(graph, codes, every=True)[layer], faulty)
    assert found.cycle is not None and found.cycle.sample == 0 and found.other
    if fault == "corrupted word":
        # The word is read by the fourth load of weights: while it is under way, other data are on the bus. The one
        # before it has written its last row and not said so, the one after it has asked for its first bursts.
        load = planted.loads(program, 1)[3]
        _, start, end = records[0].timeline[load]
        assert found.cycle.signal == "read data" and start < found.cycle.cycle < end
        assert found.cycle.machine ^ found.cycle.rtl == 0x40 << 8 * 5
        assert found.cycle.under_way["load"] == (load - 1, load, load + 1)
        assert all(program.instructions[index].opcode == Opcode.LOAD for index in found.cycle.under_way["load"])
    if fault == "swapped tile":  # the program itself is other data on the bus
        assert found.cycle.signal == "read data"
        address = [program.instructions[index].fields["memory_address"] for index in planted.loads(program, 1)[:2]]
        assert found.cycle.machine ^ found.cycle.rtl != 0 and address[0] != address[1]
    page = page_markdown(found, "model.onnx")
    assert f"Cycle {found.cycle.cycle} of sample 0" in page
    for unit, indices in found.cycle.under_way.items():
        assert indices and all(f"| {unit} | {program.layers[index]} | {index}: " in page for index in indices)
    assert ("Instructions under way" in page) == bool(found.cycle.under_way)


def test_machine_and_rtl_have_equal_signals_in_every_cycle(graph: Graph, codes: dict[str, np.ndarray]) -> None:
    program = compile_graph(graph, CONFIG)
    image = program.images(codes)[1]
    assert first_cycle(CONFIG, program, image) is None
    rows = [row for _, row in machine_rows(Machine(CONFIG), program, image)]
    assert {name for row in rows for name, value in row.items() if value} == set(MEANINGS)  # and each says something


def test_a_wrong_rounding_in_the_rtl(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, codes: dict[str, np.ndarray]
) -> None:
    """The Verilog of another rounding; the machine tells the cycle in which the first wrong row is written."""
    simulate = import_module("rtl.simulate")
    floor = replace(CONFIG, arithmetic=replace(CONFIG.arithmetic, rounding="floor"))
    honest = simulate.accelerator_verilog
    monkeypatch.setattr(simulate, "accelerator_verilog", lambda config: honest(floor))
    one = {"input": codes["input"][:1]}
    found = diverge(graph, "machine", "rtl", one, config=CONFIG)
    right, wrong = (
        run_graph(replace(graph, arithmetic=config.arithmetic), one, every=True)["features.0"]
        for config in (CONFIG, floor)
    )
    check_element(found, "features.0", "rtl", right, wrong)
    program = compile_graph(graph, CONFIG)
    (image,) = program.images(one)
    rows = [dict(machine_rows(Machine(config), program, image)) for config in (CONFIG, floor)]
    cycle = next(cycle for cycle, row in rows[0].items() if row != rows[1][cycle])
    assert (found.cycle.cycle, found.cycle.signal) == (cycle, "output codes")
    assert (found.cycle.machine, found.cycle.rtl) == (rows[0][cycle]["output codes"], rows[1][cycle]["output codes"])


def test_runs_of_different_lengths() -> None:
    """One run ends while the other goes on; the interrupt's cycle, which the RTL shows, is none of them."""
    rows = [(cycle, {"load works": 0}) for cycle in range(2, 8)]
    interrupt = (8, {"load works": 0})
    assert compare(iter(rows), iter([(1, {}), *rows, interrupt])) is None
    shorter = compare(iter(rows), iter(rows[:3]))
    assert (shorter.signal, shorter.cycle, shorter.machine, shorter.rtl) == ("run", 5, 1, 0)
    longer = compare(iter(rows[:3]), iter([*rows, interrupt]))
    assert (longer.signal, longer.cycle, longer.machine, longer.rtl) == ("run", 6, 0, 1)
