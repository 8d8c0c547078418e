"""What a study must not say, and the sentence for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesign.study.definition import (
    points,
    read_study,
    study_from_dict,
)
from tests.codesign.study.definition.tables import DIGITS, QAT, small, written


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"hardwear": {}}, "the study: unknown key 'hardwear'"),
        ({"space": None}, "[space] must be there"),
        ({"objectives": None}, "[objectives] must be there"),
        ({"network": None}, "[network] must say which network"),
        ({"network": {"builtin": "ResNet-9"}}, "[network] builtin must be one of ResNet-18"),
        (
            {"network": {"builtin": "ResNet-8", "file": "x"}},
            "[network] must have exactly one of builtin, factory, file",
        ),
        ({"network": {"builtin": []}}, "[network] builtin must name at least one network, not none"),
        ({"network": {"builtin": ["ResNet-8", 8]}}, "[network] builtin must be a text that is not empty, not 8"),
        ({"network": {"builtin": ["ResNet-8", "ResNet-9"]}}, "[network] builtin must be one of ResNet-18"),
        (
            {"network": {"builtin": ["DS-CNN"] * 2}},
            "[network] builtin must name different networks, not 'DS-CNN' twice",
        ),
        (
            {"network": {"builtin": ["DS-CNN", "digits8"]}},
            "[network] builtin: digits8 is trained, which only a network",
        ),
        ({"network": {"factory": ["a:b", "a:c"]}}, "[network] factory must be one, not a list"),
        ({"network": {"file": ["none.onnx"]}}, "none.onnx: No such file or directory"),
        ({"network": {"builtin": "MLPerf-Tiny"}, "data": DIGITS}, "[data]: the network ResNet-8 has random weights"),
        ({"data": {"builtin": ["digits8"]}}, "[data] builtin must be a text that is not empty, not ['digits8']"),
        ({"network": {"file": "none.onnx"}}, "none.onnx: No such file or directory"),
        ({"network": {"factory": "nets"}}, "[network] factory must be module:function, not 'nets'"),
        ({"network": {"factory": "no_such_module:f"}}, "there is no module no_such_module in"),
        ({"data": {"builtin": "mnist"}}, "[data] builtin must be one of digits8, digits28, watch, not 'mnist'"),
        ({"data": DIGITS}, "[data]: the network ResNet-8 has random weights"),
        ({"training": QAT}, "[training]: the network ResNet-8 has random weights"),
        ({"network": None, "data": DIGITS}, "[training] must be there with [data]"),
        ({"network": DIGITS, "training": QAT}, "[data] must be there with [training]"),
        ({"network": None, "data": DIGITS, "training": {}}, "[training] recipe must be there, one of ptq"),
        ({"training": {"recipe": "sgd"}}, "[training] recipe must be one of ptq, adaround, fitted, qat, not 'sgd'"),
        ({"training": {**QAT, "epochs": -1}}, "[training] epochs must be an integer from 0"),
        ({"training": {**QAT, "epoch": 1}}, "[training]: unknown key 'epoch'"),
        ({"training": {**QAT, "weight_budget": 0}}, "[training] weight_budget must be an integer from 1"),
        ({"hardware": {"row": 4}}, "[hardware]: unknown field 'row'"),
        ({"hardware": {"columns": 65}}, "[hardware] columns must be an integer from 1 to 64, not 65"),
        ({"hardware": {"arithmetic": 8}}, "[hardware] arithmetic must be a table, not 8"),
        ({"hardware": {"rows": 4}}, "[space] rows: rows is set by [hardware] too"),
        ({"space": {}}, "[space] must have at least one dimension"),
        ({"space": {"rows": []}}, "[space] rows must have at least one value"),
        ({"space": {"rows": 4}}, "[space] rows must be a list of values or a range {low, high, step}, not 4"),
        ({"space": {"rows": [4, 8, 4]}}, "[space] rows must have different choices, not 4 twice"),
        ({"space": {"rows": [4, 65]}}, "[space] rows: rows must be an integer from 1 to 64, not 65"),
        ({"space": {"rows": [4, True]}}, "[space] rows: rows must be an integer from 1 to 64, not True"),
        ({"space": {"dataflow": ["ws"]}}, "[space] dataflow: dataflow must be one of weight_stationary"),
        ({"space": {"rowz": [4]}}, "[space] rowz is no field (known: rows, columns"),
        ({"space": {"arithmetic": {"bits": [4]}}}, "[space] arithmetic.bits is no field"),
        (
            {"space": {"arithmetic": {"weight_bits": [9]}}},
            "[space] arithmetic.weight_bits: weight_bits must be an integer from 2 to 8, not 9",
        ),
        (
            {"space": {"arithmetic.weight_bits": [4], "arithmetic": {"weight_bits": [8]}}},
            "[space] must set arithmetic.weight_bits once",
        ),
        ({"space": {"rows": {"low": 8, "high": 4, "step": 1}}}, "[space] rows: low must be at most high (4), not 8"),
        ({"space": {"rows": {"low": 4, "high": 8}}}, "[space] rows: a range must have low, high and either step"),
        ({"space": {"rows": {"low": 4, "high": 8, "step": 0}}}, "[space] rows: step must be at least 1, not 0"),
        ({"space": {"rows": {"low": 0, "high": 8, "factor": 2}}}, "[space] rows: with a factor, low must be at least"),
        ({"space": {"rows": {"low": 4, "high": "8", "step": 1}}}, "[space] rows: high must be an integer, not '8'"),
        ({"space": {"rows": {"low": 1, "high": 10**9, "step": 1}}}, "[space] rows must have at most 10000 values"),
        ({"space": {"array": [{}]}}, "[space] array: each table must set a field"),
        ({"space": {"array": [{"rows": 4}, {"columns": 4}]}}, "[space] array: all tables must set the same fields"),
        ({"space": {"array": [{"row": 4}]}}, "[space] array: unknown field 'row'"),
        ({"space": {"array": [{"rows": 4}, {"rows": 4}]}}, "[space] array must have different choices"),
        ({"space": {"array": [{"rows": 4}], "rows": [8]}}, "[space] rows: rows is set by [space] array too"),
        ({"space": {"rows": [{"columns": 4}]}}, "[space] rows must be a list of values; a list of tables needs a name"),
        ({"space": {"weight_budget": [100]}}, "weight_budget needs [training]"),
        ({"space": {"recipe": ["ptq", "qat"]}}, "recipe needs [training], which may be empty"),
        (
            {"space": {"recipe": ["ptq", "sgd"]}},
            "[space] recipe: recipe must be one of ptq, adaround, fitted, qat, not",
        ),
        (
            {"network": None, "data": DIGITS, "training": QAT, "space": {"recipe": ["ptq"]}},
            "[space] recipe: recipe is set by [training] too",
        ),
        (
            {"network": None, "data": DIGITS, "training": {**QAT, "weight_budget": 9}, "space": {"weight_budget": [8]}},
            "[space] weight_budget: weight_budget is set by [training] too",
        ),
        ({"hardware": {"recipe": "qat"}}, "[hardware]: unknown field 'recipe'"),
        ({"objectives": []}, "[objectives] must name at least one measure"),
        ({"objectives": ["speed"]}, "each of objectives must be one of accuracy"),
        ({"objectives": ["cycles", "cycles"]}, "objectives must be different, not 'cycles' twice"),
        ({"objectives": {"cycles": "min"}}, "[objectives] cycles must be one of minimize, maximize, not 'min'"),
        ({"objectives": {"speed": "maximize"}}, "[objectives]: unknown key 'speed'"),
        ({"objectives": ["accuracy"]}, "[objectives] accuracy needs [data], which this study has not"),
        ({"objectives": ["latency_us"]}, "[objectives] latency_us needs clock_mhz in [device]"),
        ({"constraints": {"asic_area": {"max": 1}}}, "[constraints] asic_area needs liberty in [synthesis]"),
        ({"constraints": {"luts": {"max": 1, "min": 2}}}, "[constraints] luts: min must be at most max (1), not 2"),
        ({"constraints": {"luts": {}}}, "[constraints] luts must be a table {min, max}"),
        ({"constraints": {"luts": {"most": 1}}}, "[constraints] luts: unknown key 'most'"),
        ({"constraints": {"luts": {"max": "1"}}}, "[constraints] luts max must be a number, not '1'"),
        ({"constraints": {"luts": {"max": float("nan")}}}, "[constraints] luts max must be a number, not nan"),
        ({"constraints": {"fits": False}}, "[constraints] fits must be true, not False"),
        ({"search": {"sampler": "random"}}, "[search] sampler must be one of grid, nsga2, nsga3, tpe, gp"),
        ({"search": {"sampler": "tpe"}}, "[search] trials must be there for the sampler tpe"),
        ({"search": {"trials": 0}}, "[search] trials must be an integer from 1"),
        (
            {"search": {"sampler": "nsga2", "trials": 9, "population": 1}},
            "[search] population must be an integer from 2 to 10000, not 1",
        ),
        ({"search": {"seed": -1}}, "[search] seed must be an integer from 0"),
        ({"device": {"clock_mhz": 0}}, "[device] clock_mhz must be above 0"),
        ({"memory": {"latency": 0}}, "[memory] latency must be an integer from 1 to 1024, not 0"),
        ({"energy": {"table": "none.toml"}}, "none.toml is no file"),
        ({"synthesis": {"confirm": "some"}}, "[synthesis] confirm must be one of none, front, all, not 'some'"),
        ({"name": "two\nlines"}, "name must be one line of at most 100 characters"),
    ],
)
def test_what_is_wrong_is_one_sentence(sections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        study_from_dict(small(**sections))
    assert str(caught.value).find(sentence) >= 0, str(caught.value)
    assert "\n" not in str(caught.value).replace("two\\nlines", "")


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[space]\nrows = [4")
    with pytest.raises(ValueError, match=f"^{path}: is not TOML: "):
        read_study(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=f"^{path}: is not a UTF-8 text file$"):
        read_study(path)
    path.write_text("[space]\nrows = [0]\n[network]\nbuiltin = 'ResNet-8'\n[objectives]\ncycles = 'minimize'\n")
    with pytest.raises(ValueError, match=rf"^{path}: \[space\] rows: rows must be"):
        read_study(path)
    path.write_text("#" * (1 << 21))
    with pytest.raises(ValueError, match=f"^{path}: must be a TOML file of at most 1048576 bytes"):
        read_study(path)
    with pytest.raises(ValueError, match=f"^{tmp_path / 'none.toml'}: No such file"):
        read_study(tmp_path / "none.toml")


def test_every_field_has_a_value_that_only_some_accelerators_take() -> None:
    """A value is refused alone only where no accelerator at all has it."""
    for field, value in (
        ("activation_scratchpad_bytes", 16), ("weight_scratchpad_bytes", 2), ("accumulator_bytes", 2),
        ("activation_scratchpad_bytes", 1 << 22), ("accumulator_bytes", (1 << 10) * 64 * 48),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="no legal combination"):
            study_from_dict(small(space={field: [value], "rows": [8], "columns": [8]}))
    for value in (15, (1 << 22) + 1):
        with pytest.raises(ValueError, match=r"^\[space\] activation_scratchpad_bytes: activation_scratchpad_bytes"):
            study_from_dict(small(space={"activation_scratchpad_bytes": [value]}))
    wide = {"arithmetic": {"accumulator_bits": [48], "multiplier_bits": [15]}}
    assert len(list(points(study_from_dict(small(space=wide))))) == 1


def test_a_huge_grid_needs_an_end() -> None:
    space = {"rows": {"low": 1, "high": 64, "step": 1}, "columns": {"low": 1, "high": 64, "step": 1}}
    space |= {"activation_scratchpad_bytes": {"low": 65536, "high": 65636, "step": 4}}
    with pytest.raises(ValueError, match=r"\[space\] has 106496 combinations; a grid of more than 100000 must have"):
        study_from_dict(small(space=space))
    assert study_from_dict(small(space=space, search={"trials": 10})).search.trials == 10
