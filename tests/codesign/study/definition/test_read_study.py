"""`read_study`: what a file may say, and the sentence for everything else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.study.definition import (
    Constraint,
    IllegalPointError,
    Objective,
    built_in_studies,
    combinations,
    find_study,
    point,
    points,
    read_study,
    space_size,
    study_from_dict,
)
from codesign.study.definition.study import RECIPES
from codesign.study.plain import to_plain
from codesign.training.recipe import KINDS, TrainingRecipe
from emulator import AcceleratorConfig, Arithmetic

WHOLE = """
name = "Everything"
[data]
builtin = "digits8"
[training]
recipe = "qat"
epochs = 3
seed = 7
[hardware]
bus_bytes = 16
arithmetic.rounding = "half_up"
[space]
array = [{rows = 4, columns = 4}, {rows = 4, columns = 8, label = "wide"}]
accumulator_bytes = {low = 4096, high = 20000, factor = 2}
weight_budget = [3000, 5000]
[space.arithmetic]
accumulator_bits = {low = 12, high = 20, step = 4}
[objectives]
cycles = "minimize"
accuracy = "maximize"
[constraints]
luts = {max = 80000}
accuracy = {min = 0.9, max = 1}
fits = true
[search]
sampler = "nsga2"
trials = 40
seed = 3
population = 8
[device]
name = "LFE5U-85F"
clock_mhz = 100
[memory]
latency = 20
[synthesis]
confirm = "front"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def small(**sections: Any) -> dict[str, Any]:
    """A study that holds, with other sections; None leaves one out."""
    table = {"network": {"builtin": "ResNet-8"}, "space": {"rows": [4, 8]}, "objectives": ["cycles"], **sections}
    return {name: section for name, section in table.items() if section is not None}


def test_a_file_says_everything(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, WHOLE))
    assert study.name == "Everything" and study.network.name == "digits8" and study.network.kind == "factory"
    assert study.training is not None and study.training.recipe == "qat" and study.seed == 7
    assert study.training.options["epochs"] == 3 and study.training.options["batch"] == TrainingRecipe().batch
    assert study.fixed == {"bus_bytes": 16, "arithmetic.rounding": "half_up"}
    assert [(axis.name, axis.labels) for axis in study.space] == [
        ("array", ("4×4", "wide")),
        ("accumulator_bytes", (4096, 8192, 16384)),
        ("weight_budget", (3000, 5000)),
        ("arithmetic.accumulator_bits", (12, 16, 20)),
    ]
    assert study.objectives == (Objective("cycles", "minimize"), Objective("accuracy", "maximize"))
    assert study.constraints == (
        Constraint("luts", None, 80000), Constraint("accuracy", 0.9, 1), Constraint("fits", 1, None),
    )  # fmt: skip
    search = study.search
    assert (search.sampler, search.trials, search.seed, search.population) == ("nsga2", 40, 3, 8)
    assert (study.clock_mhz, study.latency, study.confirm) == (100, 20, "front")
    assert study.file == tmp_path / "study.toml" and study.folder == tmp_path
    assert json.loads(json.dumps(to_plain(study)))["space"][0]["choices"][1] == {"rows": 4, "columns": 8}


def test_points_are_the_product_of_the_choices_in_order(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, WHOLE))
    assert space_size(study) == 36
    every = list(points(study))
    assert [found.choices for found in every] == list(combinations(study))
    assert len({tuple(found.choices.values()) for found in every}) == 36
    last = every[-1]
    assert last.choices == {
        "array": "wide", "accumulator_bytes": 16384, "weight_budget": 5000, "arithmetic.accumulator_bits": 20,
    }  # fmt: skip
    assert last.config == AcceleratorConfig(
        rows=4, columns=8, accumulator_bytes=16384, bus_bytes=16,
        arithmetic=Arithmetic(accumulator_bits=20, rounding="half_up"),
    )  # fmt: skip
    assert (last.weight_budget, last.activation_budget) == (5000, None)
    assert point(study, last.choices) == last
    with pytest.raises(ValueError, match="array must be one of 4×4, wide, not '8×8'"):
        point(study, {**last.choices, "array": "8×8"})
    with pytest.raises(ValueError, match="weight_budget has none"):
        point(study, {"array": "wide", "accumulator_bytes": 4096})


def test_a_list_of_objectives_has_their_own_directions() -> None:
    study = study_from_dict(small(objectives=["cycles", "utilization"]))
    assert study.objectives == (Objective("cycles", "minimize"), Objective("utilization", "maximize"))
    assert study.name == "study" and study.search.sampler == "grid" and study.search.trials is None


def test_recipes_are_those_of_the_training() -> None:
    assert RECIPES == KINDS


def test_a_group_is_its_networks_and_a_list_of_one_is_one() -> None:
    group = study_from_dict(small(network={"builtin": "MLPerf-Tiny"}))
    assert [network.name for network in group.networks] == ["ResNet-8", "DS-CNN", "MobileNetV1-0.25", "autoencoder"]
    assert group == study_from_dict(small(network={"builtin": [network.name for network in group.networks]}))
    assert study_from_dict(small(network={"builtin": ["ResNet-8"]})) == study_from_dict(small())


def test_the_recipe_may_be_a_dimension_of_its_own_or_part_of_a_joint_one() -> None:
    table = {"data": DIGITS, "training": {"epochs": 2}, "objectives": ["accuracy"]}
    bits = {"arithmetic": {"accumulator_bits": [12]}}
    study = study_from_dict({**table, "space": {**bits, "recipe": ["ptq", "qat"]}})
    assert study.training is not None and study.training.recipe is None and study.training.options["epochs"] == 2
    assert [list(at.choices.items()) for at in points(study)] == [
        [("arithmetic.accumulator_bits", 12), ("recipe", "ptq")],
        [("arithmetic.accumulator_bits", 12), ("recipe", "qat")],
    ]
    assert [at.recipe for at in points(study)] == ["ptq", "qat"]
    joint = [{"recipe": "ptq", "weight_budget": 9000}, {"recipe": "qat", "weight_budget": 3000}]
    found = list(points(study_from_dict({**table, "training": {}, "space": {"way": joint}})))
    assert [(at.choices["way"], at.recipe, at.weight_budget) for at in found] == [
        ("recipe ptq, weight_budget 9000", "ptq", 9000),
        ("recipe qat, weight_budget 3000", "qat", 3000),
    ]
    one = study_from_dict({**table, "training": {"recipe": "fitted"}, "space": {"rows": [4]}})
    assert [at.recipe for at in points(one)] == ["fitted"]
    assert [at.recipe for at in points(study_from_dict(small()))] == [None, None]


def test_illegal_combinations_are_no_points_while_one_is_legal() -> None:
    space = {"rows": [8, 64], "activation_scratchpad_bytes": [512, 65536]}
    study = study_from_dict(small(space=space))
    assert space_size(study) == 4 and len(list(points(study))) == 3
    with pytest.raises(IllegalPointError, match=r"^activation_scratchpad_bytes must be an integer from 1024 to"):
        point(study, {"rows": 64, "activation_scratchpad_bytes": 512})
    space["activation_scratchpad_bytes"] = [128, 512]
    assert len(list(points(study_from_dict(small(space={**space, "rows": [8, 64]}))))) == 2
    with pytest.raises(ValueError, match="no legal combination; the first one is illegal because of rows 64"):
        study_from_dict(small(space={**space, "rows": [64]}))


@pytest.mark.parametrize("name", built_in_studies())
def test_built_in_studies_can_be_read(name: str) -> None:
    study = read_study(find_study(name))
    assert any(True for _ in points(study))


def test_an_unknown_name_lists_the_built_in_studies(tmp_path: Path) -> None:
    assert find_study(str(written(tmp_path, WHOLE))) == tmp_path / "study.toml"
    with pytest.raises(ValueError, match=r"nothing: is neither a file nor a built-in study \(.*tiny_arrays"):
        find_study("nothing")


QAT = {"recipe": "qat"}
DIGITS = {"builtin": "digits8"}


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


def test_a_factory_and_an_archive_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def small():\n    raise AssertionError('is not run')\n")
    arrays = {"inputs": np.zeros((2, 1, 8, 8), np.float32), "labels": np.zeros(2, np.int64)}
    every = {f"{split}_{name}": array for split in ("train", "validation", "test") for name, array in arrays.items()}
    np.savez(tmp_path / "data.npz", **every)
    table = small(network={"factory": "nets:small"}, data={"file": "data.npz"}, training=QAT, objectives=["accuracy"])
    first = study_from_dict(table, tmp_path)
    (tmp_path / "nets.py").write_text("def small():\n    return 2\n")
    np.savez(tmp_path / "data.npz", **{**every, "train_labels": np.ones(2, np.int64)})
    second = study_from_dict(table, tmp_path)
    assert first.network.digest != second.network.digest and first.data is not None and second.data is not None
    assert first.data.digest != second.data.digest
    assert dataclasses.replace(second, network=first.network, data=first.data) == first
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match=r"\[data\] file data.npz must hold train_inputs, .* to train with"):
        study_from_dict(table, tmp_path)
    np.savez(tmp_path / "data.npz", x=arrays["inputs"])
    with pytest.raises(ValueError, match=r"\[data\] file data.npz must hold the arrays .*, not x"):
        study_from_dict(table, tmp_path)
    (tmp_path / "data.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"data\.npz: is not an \.npz file, or it is damaged"):
        study_from_dict(table, tmp_path)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"inputs": np.zeros((2, 9), np.int8)}, r"inputs must be floats, batch axis first, not int8 \(2, 9\)"),
        ({"inputs": np.float32(1)}, r"inputs must be floats, batch axis first, not float32 \(\)"),
        ({"labels": np.zeros(3, np.int64)}, r"labels must be one integer for each of 2 inputs, not int64 \(3,\)"),
        ({"labels": np.zeros((2, 1), np.int64)}, r"labels must be one integer .*, not int64 \(2, 1\)"),
        ({"labels": np.zeros(2)}, r"labels must be one integer for each of 2 inputs, not float64 \(2,\)"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_before_they_are_read(
    tmp_path: Path, changed: dict[str, Any], sentence: str
) -> None:
    arrays = {"inputs": np.zeros((2, 9), np.float32), "labels": np.zeros(2, np.int64)} | changed
    np.savez(tmp_path / "data.npz", **arrays)
    (tmp_path / "x.onnx").write_bytes(b"x")
    table = small(network={"file": "x.onnx"}, data={"file": "data.npz"}, objectives=["accuracy"])
    with pytest.raises(ValueError, match=rf"^\[data\] file data\.npz: {sentence}"):
        study_from_dict(table, tmp_path)


def test_all_inputs_have_one_shape(tmp_path: Path) -> None:
    shapes = {"train": (2, 1, 8, 8), "validation": (2, 64), "test": (2, 1, 8, 8)}
    arrays = {f"{split}_inputs": np.zeros(shape, np.float32) for split, shape in shapes.items()}
    np.savez(tmp_path / "data.npz", **arrays, **{f"{split}_labels": np.zeros(2, np.int64) for split in shapes})
    sentence = r"validation_inputs must have the shape of the others, \(1, 8, 8\), not \(64,\)"
    with pytest.raises(ValueError, match=sentence):
        study_from_dict(small(data={"file": "data.npz"}, training=QAT), tmp_path)


def test_what_the_area_model_is_fitted_on_is_one_of_two() -> None:
    assert study_from_dict(small(synthesis={"model": "store"})).area_model == "store"
    with pytest.raises(ValueError, match=r"\[synthesis\] model must be one of shipped, store, not 'mine'"):
        study_from_dict(small(synthesis={"model": "mine"}))
