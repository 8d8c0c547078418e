"""`read_study`: what a file may say, and the sentence for everything else."""

from __future__ import annotations

import json
from pathlib import Path

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
from tests.codesign.study.definition.tables import DIGITS, WHOLE, small, written


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


def test_what_the_area_model_is_fitted_on_is_one_of_two() -> None:
    assert study_from_dict(small(synthesis={"model": "store"})).area_model == "store"
    with pytest.raises(ValueError, match=r"\[synthesis\] model must be one of shipped, store, not 'mine'"):
        study_from_dict(small(synthesis={"model": "mine"}))
