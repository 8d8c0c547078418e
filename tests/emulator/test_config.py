"""The hardware description and its TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator import AcceleratorConfig, Arithmetic, config_from_dict, load_config


def test_toml(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'rows = 4\ncolumns = 6\n[arithmetic]\naccumulator_bits = 12\nrounding = "floor"\n', encoding="utf-8"
    )
    config = load_config(file)
    assert config == AcceleratorConfig(rows=4, columns=6, arithmetic=Arithmetic(accumulator_bits=12, rounding="floor"))
    assert config_from_dict(config.as_dict()) == config


def test_hash_names_every_field() -> None:
    assert AcceleratorConfig().hash() == AcceleratorConfig().hash()
    others = [
        AcceleratorConfig(rows=9),
        AcceleratorConfig(counters=False),
        AcceleratorConfig(arithmetic=Arithmetic(rounding="floor")),
        AcceleratorConfig(weight_zero_points=True),
        AcceleratorConfig(raw_outputs=True),
        *(AcceleratorConfig(depthwise_taps=taps) for taps in (1, 3, 9)),
        AcceleratorConfig(packed_multipliers=True),
        AcceleratorConfig(arithmetic=Arithmetic(adder="rescaled")),
    ]
    assert len({config.hash() for config in (*others, AcceleratorConfig())}) == 11


def test_a_lane_for_each_column_is_one_config() -> None:
    """However it is written; half as many lanes are another one."""
    assert AcceleratorConfig(columns=6, post_process_lanes=6) == AcceleratorConfig(columns=6)
    shared = AcceleratorConfig(columns=6, post_process_lanes=3)
    assert shared.lane_columns == 2 and AcceleratorConfig(columns=6).lane_columns == 1
    assert shared.hash() != AcceleratorConfig(columns=6).hash()
    assert config_from_dict(shared.as_dict()) == shared


def test_accelerators_of_version_1_keep_their_hash() -> None:
    """It is a register of the hardware, by which a host knows what it was built for."""
    digest = "296d69afa9006628ac80485a0f3dbeb6103fc48afcc9588ed12d3d78671d5cb9"
    assert AcceleratorConfig().hash() == digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows must be an integer from 1 to 64, not 0"),
        ({"columns": 65}, "columns must be an integer from 1 to 64, not 65"),
        ({"bus_bytes": 4}, "bus_bytes must be 8, 16 or 32, not 4"),
        ({"columns": 6, "post_process_lanes": 4}, "post_process_lanes must divide columns = 6, not be 4"),
        ({"post_process_lanes": 9}, "post_process_lanes must be an integer from 0 to 8, not 9"),
        (
            {"post_process_lanes": 2, "depthwise_taps": 3},
            "depthwise_taps must be 0 where columns share post_process_lanes, not 3",
        ),
        ({"counters": 1}, "counters must be true or false, not 1"),
        ({"depthwise_taps": 2}, "depthwise_taps must be 0, 1, 3 or 9, not 2"),
        ({"depthwise_taps": True}, "depthwise_taps must be 0, 1, 3 or 9, not True"),
        ({"arithmetic": {}}, r"arithmetic must be an Arithmetic, not \{\}"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AcceleratorConfig(**change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row = 4\n", r"config.toml: unknown key 'row' \(known: rows, "),
        ("[arithmetic]\nbits = 4\n", r"config.toml \[arithmetic\]: unknown key 'bits'"),
        ("arithmetic = 3\n", r"config.toml \[arithmetic\] must be a table, not 3"),
        (
            "[arithmetic]\naccumulator_bits = 4\n",
            "config.toml: accumulator_bits must be an integer from 8 to 48, not 4",
        ),
        ("rows = \n", "config.toml: is not TOML: "),
    ],
)
def test_file_errors(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_config(file)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.toml: No such file"):
        load_config(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.toml: is not a UTF-8 text file"):
        load_config(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_bytes(b"rows = 4\n" + b"#" * (1 << 20))
    with pytest.raises(ValueError, match=r"large\.toml: must be a TOML file of at most 1048576 bytes"):
        load_config(tmp_path / "large.toml")


@pytest.mark.parametrize(
    "text",
    [
        "rows = " + "[" * 100_000,
        "rows = " + "[" * 33 + "]" * 33,
        "rows = " + "{a = " * 3_000 + "1" + "}" * 3_000,
        "rows" + ".a" * 5_000 + " = 1",
        "[" + "a." * 40 + "a]",
    ],
)
def test_nested_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"toml: must not have more than 32 tables and arrays inside each other$"):
        load_config(file)


def test_long_integers(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("rows = " + "9" * 5_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.toml: must not hold an integer of thousands of digits$"):
        load_config(file)
    file.write_text("rows = " + "9" * 400, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.toml: rows must be an integer from 1 to 64, not 9{400}$"):
        load_config(file)
