"""Energies of a run: with a table of one constant that is 1, they are numbers of bits, bytes and operations."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.energy import ACCESSES, EnergyTable, access_counts, energy, layer_accesses, load_energy_table
from codesign.energy.report import energy_tables
from codesign.energy.table import BUILT_IN, NUMBERS
from codesign.networks.builder import NetworkBuilder
from compiler import compile_graph
from emulator import AcceleratorConfig, Arithmetic
from tests.codesign.command import fails, runs
from tests.codesign.models import small_config, small_model

ARITHMETIC = Arithmetic(activation_bits=6, weight_bits=5, accumulator_bits=20, multiplier_bits=18)
CONFIG = AcceleratorConfig(rows=4, columns=8, accumulator_bytes=4000, arithmetic=ARITHMETIC)
COUNTS = [dict.fromkeys(ACCESSES, 0) | {name: 7 + k} for k, name in enumerate(ACCESSES)]
"""One count in each of so many instructions: 7, 8, 9, …"""
COUNT = {name: 7 + k for k, name in enumerate(ACCESSES)}


def only(**constants: float) -> EnergyTable:
    """A table of zeros but for these."""
    return EnergyTable("test", **dict.fromkeys(NUMBERS, 0.0) | constants)


def test_bits_of_every_memory() -> None:
    found = energy(COUNTS, CONFIG, only(sram_pj_per_bit=1, sram_write_over_read=3)).units
    assert found == {
        "array": 0,
        "accumulators": 8 * 21 * (3 * COUNT["accumulator_writes"] + COUNT["accumulator_reads"]),
        "activation_scratchpad": 32 * (3 * COUNT["activation_writes"] + COUNT["activation_reads"]),
        "weight_scratchpad": 64 * (3 * COUNT["weight_writes"] + COUNT["weight_reads"]),
        "operand_scratchpad": 64 * (3 * COUNT["operand_writes"] + COUNT["operand_reads"]),
        "output_scratchpad": 64 * (3 * COUNT["output_writes"] + COUNT["output_reads"]),
        "parameters": 8
        * (
            8 * 3 * COUNT["parameter_writes"]
            + 32 * COUNT["bias_reads"]
            + 40 * COUNT["multiplier_reads"]
            + 5 * COUNT["zero_point_reads"]
        ),
        "tables": 64 * (3 * COUNT["table_writes"] + COUNT["table_reads"]),
        "post_processing": 0,
        "instruction_fetch": 0,
        "dram": 0,
    }


def test_capacities_are_those_of_the_memories() -> None:
    """With the exponent 1, a bit costs its memory's KiB: of one bank of a column's sums, of one column's table."""
    found = energy(COUNTS, CONFIG, only(sram_pj_per_bit=1024, sram_exponent=1, sram_write_over_read=1)).units
    depth = 4000 * 8 // (8 * 20)  # 200 rows, half of them in each bank
    bank = depth / 2 * 21 / 8
    assert found["accumulators"] == 8 * 21 * bank * (COUNT["accumulator_writes"] + COUNT["accumulator_reads"])
    assert found["tables"] == 64 * 64 * (COUNT["table_writes"] + COUNT["table_reads"])
    size = CONFIG.weight_scratchpad_bytes
    assert found["weight_scratchpad"] == 64 * size * (COUNT["weight_writes"] + COUNT["weight_reads"])


def test_bytes_of_the_bus() -> None:
    found = energy(COUNTS, CONFIG, only(dram_pj_per_byte=1)).units
    assert found["dram"] == COUNT["bytes_loaded"] + COUNT["bytes_stored"]
    assert found["instruction_fetch"] == COUNT["bytes_fetched"]
    assert sum(found.values()) == found["dram"] + found["instruction_fetch"]


@pytest.mark.parametrize(
    ("adder", "addition", "sums"),
    [
        # Two products of 7 × 18 bits; their sum of 26 bits, its rounding, three zero points of 7 bits.
        ("shared_shift", 2 * 7 * 18, 2 * 26 + 3 * 7),
        # Each of them rounded to 29 bits and added; that times 18 bits, rounded, and the zero points.
        ("rescaled", 2 * 7 * 18 + 29 * 18, 2 * 29 + 29 + (29 + 18) + 3 * 7),
    ],
)
def test_bits_of_products_and_sums(adder: str, addition: int, sums: int) -> None:
    arithmetic = Arithmetic(**ARITHMETIC.as_dict() | {"adder": adder, "rounding": "double"})  # type: ignore[arg-type]
    config = AcceleratorConfig(rows=4, columns=8, weight_zero_points=True, arithmetic=arithmetic)
    found = energy(COUNTS, config, only(multiplier_pj_per_bit_pair=1)).units
    assert found["array"] == COUNT["macs"] * 7 * 6
    assert found["post_processing"] == (
        COUNT["requantizations"] * 24 * 18 + COUNT["products"] * 7 * 7 + COUNT["additions"] * addition
    )
    found = energy(COUNTS, config, only(adder_pj_per_bit=1)).units
    assert found["array"] == (
        COUNT["macs"] * 20 + COUNT["activation_reads"] * 4 * 7 + COUNT["weight_reads"] * 8 * 6  # their zero points
    )
    assert found["post_processing"] == (
        COUNT["requantizations"] * (24 + 18 + 7) + COUNT["reductions"] * 24 + COUNT["additions"] * sums
    )


def test_registers_of_the_elements() -> None:
    table = only(register_pj_per_bit=1)
    found = energy(COUNTS, CONFIG, table).units
    # Weight stationary: operand, product, sum with its flag; each weight goes into the shadow, then becomes active.
    assert found["array"] == COUNT["macs"] * (7 + 12 + 21) + COUNT["weight_reads"] * 8 * 2 * 5
    assert found["weight_scratchpad"] == COUNT["weight_reads"] * 64  # a memory's bit costs as much at least
    # Output stationary: the weight moves on too, and a sum through 5 rows' two registers until it is out.
    config = AcceleratorConfig(rows=4, columns=8, dataflow="output_stationary", arithmetic=ARITHMETIC)
    moving = COUNT["accumulator_writes"] * 8 * 5 * 2 * 21
    assert energy(COUNTS, config, table).units["array"] == COUNT["macs"] * (7 + 5 + 12 + 21) + moving


def test_layers_and_what_is_static() -> None:
    names = ["a" if k % 3 else "b" for k in range(len(COUNTS))]
    table = only(dram_pj_per_byte=2, static_pj_per_cycle=0.5)
    found = energy(COUNTS, CONFIG, table, names, cycles=11)
    assert list(found.layers) == ["b", "a"] and found.kind == "model" and found.counts == COUNT
    for unit, name in (("instruction_fetch", "bytes_fetched"), ("dram", "bytes_loaded")):
        layer = names[list(ACCESSES).index(name)]
        assert found.layers[layer][unit] >= 2 * COUNT[name]
    assert sum(units["dram"] for units in found.layers.values()) == found.units["dram"]
    assert found.units["static"] == 5.5
    assert found.total == 5.5 + 2 * (COUNT["bytes_fetched"] + COUNT["bytes_loaded"] + COUNT["bytes_stored"])
    assert "static" not in energy(COUNTS, CONFIG, load_energy_table(), names, cycles=11).units
    with pytest.raises(ValueError, match="layers must name one for each of 30 instructions, not 2"):
        energy(COUNTS, CONFIG, table, ["a", "b"])


def test_it_is_linear_and_repeats() -> None:
    table = load_energy_table()
    once, again, twice = (energy(c, CONFIG, table) for c in (COUNTS, COUNTS[::-1], COUNTS * 2))
    assert once.units == again.units
    assert all(twice.units[unit] == 2 * pj for unit, pj in once.units.items())  # a power of two: exact


def test_a_network_and_its_page() -> None:
    net = NetworkBuilder(ARITHMETIC, images=0)
    x = net.convolution(net.input((4, 4, 3)), 9, (3, 3), "conv", padding=(1, 1, 1, 1))
    program = compile_graph(net.finish(net.linear(x, 4, "linear")), CONFIG)
    counts = access_counts(program, CONFIG)
    found = energy(counts, CONFIG, load_energy_table(), program.layers)
    sums = layer_accesses(counts, program.layers)  # of which a study keeps no more
    assert energy(list(sums.values()), CONFIG, load_energy_table(), list(sums)) == found
    assert set(found.layers) == {*program.layers} and {"conv", "linear"} <= set(found.layers)
    for unit, pj in found.units.items():
        assert sum(units[unit] for units in found.layers.values()) == pytest.approx(pj)
    layers, memories = energy_tables(found)
    assert [row[0] for row in layers.rows] == [*(name or "HALT" for name in found.layers), "all"]
    assert [row[0] for row in memories.rows] == [unit.replace("_", " ") for unit in found.units]
    assert "model" in layers.title and "nJ" in layers.title


def test_run_shows_the_energy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, config = small_model(tmp_path), small_config(tmp_path)
    shown = runs(capsys, ["run", model, "--config", config, "--samples", 2, "--energy"])["energy"]
    assert isinstance(shown, dict)
    assert shown["kind"] == "model" and shown["unit"] == "pJ" and shown["table"]["dram_pj_per_byte"] == 243.75
    assert shown["total"] == sum(shown["units"].values()) > 0
    assert list(shown["layers"]) and all(list(units) == list(shown["units"]) for units in shown["layers"].values())

    mine = tmp_path / "mine.toml"
    text = BUILT_IN.read_text(encoding="utf-8").replace("static_pj_per_cycle = 0.0", "static_pj_per_cycle = 2.0")
    mine.write_text(text, encoding="utf-8")
    result = runs(capsys, ["run", model, "--samples", 1, "--energy-table", mine])
    cycles, shown = result["cycles_per_sample"], result["energy"]
    assert isinstance(cycles, list) and isinstance(shown, dict) and shown["units"]["static"] == 2.0 * cycles[0]

    mine.write_text(text + "\nmore = 1\n", encoding="utf-8")
    fails(capsys, ["run", model, "--energy-table", mine], "mine.toml", "'more'")
