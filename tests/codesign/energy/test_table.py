"""Tables of energies: the built-in one against the points that were published, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.energy.table import BUILT_IN, NUMBERS, EnergyTable, load_energy_table

TABLE = load_energy_table()


def test_operations_are_those_published() -> None:
    for bits, product, total in ((8, 0.2, 0.03), (32, 3.1, 0.1)):
        assert TABLE.multiplier(bits, bits) == pytest.approx(product, rel=1e-4)
        assert TABLE.adder(bits) == pytest.approx(total, rel=1e-4)
    assert TABLE.dram_pj_per_byte == (1300 + 2600) / 2 / 8


def test_the_memories_formula_is_the_fit() -> None:
    kib, published = np.array([8, 32, 1024]), np.array([10, 20, 100])
    exponent, logarithm = np.polyfit(np.log(kib), np.log(published / 64), 1)
    assert (TABLE.sram_exponent, TABLE.sram_pj_per_bit) == (round(exponent, 4), round(float(np.exp(logarithm)), 5))
    given = [TABLE.read(64, 1024 * size) for size in kib]
    assert [round(pj, 2) for pj in given] == [10.16, 19.56, 100.63]
    assert max(abs(given / published - 1)) < 0.023


def test_no_bit_costs_less_than_a_register() -> None:
    assert TABLE.read(7, 1) == 7 * TABLE.register_pj_per_bit == TABLE.register(7)
    assert TABLE.write(64, 8192) == TABLE.read(64, 8192) * TABLE.sram_write_over_read


def test_every_number_has_a_source() -> None:
    assert set(TABLE.sources) == set(NUMBERS) and all(TABLE.sources.values())
    assert TABLE.as_dict() == {name: getattr(TABLE, name) for name in ("name", *NUMBERS)} | {"sources": TABLE.sources}


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text, file = BUILT_IN.read_text(encoding="utf-8"), folder / "mine.toml"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = write(tmp_path, ("dram_pj_per_byte = 243.75", "dram_pj_per_byte = 40"), ("45 nm, Horowitz 2014", "ours"))
    table = load_energy_table(file)
    assert (table.name, table.dram_pj_per_byte, table.adder_pj) == ("ours", 40, TABLE.adder_pj)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("adder_pj = 0.0066667", "adder_pj = -1", "adder_pj must be a number of at least 0, not -1"),
        ("adder_pj = 0.0066667", "adder_pj = nan", "adder_pj must be a number of at least 0, not nan"),
        ("adder_pj = 0.0066667", "adder_pj = true", "adder_pj must be a number of at least 0, not True"),
        ("adder_pj = 0.0066667", 'adder_pj = "a"', "adder_pj must be a number of at least 0, not 'a'"),
        ("adder_pj = 0.0066667", "", "must have adder_pj; 45nm.toml of Lockstep shows all keys"),
        ("adder_pj = 0.0066667", "adder = 1", "unknown key 'adder'"),
        ('name = "45 nm, Horowitz 2014"', "name = 45", "name must be a text, not 45"),
        ("[sources]", "[sources]\nadders = 'x'", "sources: unknown key 'adders'"),
        ('adder_pj_per_bit = "as adder_pj"', "adder_pj_per_bit = 1", "sources: adder_pj_per_bit must be a text, not 1"),
        ("[sources]", "[sources", "is not TOML"),
    ],
)
def test_files_that_are_no_tables(old: str, new: str, named: str, tmp_path: Path) -> None:
    file = write(tmp_path, (old, new))
    with pytest.raises(ValueError) as caught:
        load_energy_table(file)
    assert str(caught.value).startswith(f"{file}: ") and named in str(caught.value), caught.value


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for content, named in ((b"\xff", "is not a UTF-8 text file"), (b" " * ((1 << 20) + 1), "at most 1048576 bytes")):
        file = tmp_path / "mine.toml"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=named):
            load_energy_table(file)
    with pytest.raises(ValueError, match="No such file"):
        load_energy_table(tmp_path / "missing.toml")
    with pytest.raises(ValueError, match="sources must be a table, not 3"):
        EnergyTable("x", *[1.0] * len(NUMBERS), sources=3)  # type: ignore[arg-type]
