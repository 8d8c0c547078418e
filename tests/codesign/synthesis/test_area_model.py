"""The model of area: what it is fitted on, how far it is off, and that it is quick."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace

import pytest

from codesign.benchmarks.area import rows
from codesign.synthesis.area import Area
from codesign.synthesis.area_features import GROUPS
from codesign.synthesis.area_model import AreaModel, Measured, load_model, measured_on_this_rtl, shipped
from emulator import AcceleratorConfig


def test_the_error_that_comes_with_a_prediction_is_that_of_the_config_left_out() -> None:
    measured = shipped()
    model = load_model()
    errors = []
    for index, one in enumerate(measured):
        others = AreaModel([*measured[:index], *measured[index + 1 :]])
        found = sum(part["LUTs"] for part in others.parts(one.config).values())
        errors.append(abs(found - one.total("LUTs")) / one.total("LUTs"))
    prediction = model.predict(measured[0].config)["LUTs"]
    assert prediction.error_median == pytest.approx(statistics.median(errors), abs=5e-4)
    assert prediction.error_worst == pytest.approx(max(errors), abs=5e-4)


def test_larger_arrays_have_the_error_of_the_larger_half_and_much_larger_ones_none() -> None:
    model, inside = load_model(), AcceleratorConfig(rows=16, columns=16)
    small = AreaModel([one for one in shipped() if max(one.config.rows, one.config.columns) <= 8])
    errors = [
        abs(sum(part["LUTs"] for part in small.parts(one.config).values()) / one.total("LUTs") - 1)
        for one in shipped()
        if max(one.config.rows, one.config.columns) > 8
    ]
    assert len(errors) > 8
    found = model.predict(inside)["LUTs"]
    assert found.outside == () and found.error_worst == model.errors["LUTs"][1]
    far = model.predict(replace(inside, rows=32))["LUTs"]
    assert far.outside == ("rows 32 (2 to 16)",)
    assert far.error_median == pytest.approx(statistics.median(errors), abs=5e-4)
    assert far.error_worst == pytest.approx(max(errors), abs=5e-4) and max(errors) > model.errors["LUTs"][1]
    for config, outside in (
        (replace(inside, columns=33), "columns 33 (2 to 16)"),
        (replace(inside, rows=1), "rows 1 (2 to 16)"),
        (replace(inside, weight_scratchpad_bytes=1 << 18), "weight_scratchpad_bytes 262144 (1024 to 131072)"),
    ):
        unknown = model.predict(config)
        assert unknown["LUTs"].outside == (outside,)
        assert unknown["LUTs"].error_median is unknown["FFs"].error_worst is None
        assert unknown["BRAMs"].error_worst == 0 and unknown["BRAMs"].outside == ()


def test_packed_multipliers_are_counted_and_the_rest_of_them_is_unknown_until_synthesized() -> None:
    model = AreaModel([one for one in shipped() if not one.config.packed_multipliers])
    config = AcceleratorConfig(rows=3, columns=5)
    plain, packed = (model.predict(replace(config, packed_multipliers=packed)) for packed in (False, True))
    assert plain["DSPs"].value - packed["DSPs"].value == 3 * 2
    assert plain["LUTs"].outside == () and packed["LUTs"].outside == ("packed_multipliers true",)
    assert packed["LUTs"].error_median is packed["FFs"].error_worst is None


def test_few_small_arrays_tell_no_error_of_larger_ones() -> None:
    large = [one for one in shipped() if max(one.config.rows, one.config.columns) > 6]
    model = AreaModel([one for one in large if not one.config.post_process_lanes])
    assert model.far_errors == {}
    assert model.predict(AcceleratorConfig(rows=20, columns=16))["LUTs"].error_worst is None


def test_every_row_holds() -> None:
    found = rows()
    assert [row["name"] for row in found if row["holds"] is False] == []
    assert sum(row["holds"] is True for row in found) == 4


def test_the_shipped_syntheses_are_of_this_rtl() -> None:
    assert measured_on_this_rtl()


def test_more_syntheses_change_the_model_and_one_of_a_known_config_takes_its_place() -> None:
    first = shipped()[0]
    groups = {name: {resource: 2 * count for resource, count in first.groups[name].items()} for name in GROUPS}
    doubled = replace(first, groups=groups)
    model = load_model([doubled])
    assert len(model.measured) == len(shipped())
    assert model.predict(first.config)["LUTs"].value > load_model().predict(first.config)["LUTs"].value
    assert model.errors["LUTs"][1] > load_model().errors["LUTs"][1]


def test_parts_add_up_and_block_resources_are_exact() -> None:
    model, config = load_model(), shipped()[0].config
    whole = model.predict(config)
    for resource in ("LUTs", "FFs"):
        parts = [part[resource] for part in model.parts(config).values()]
        assert abs(sum(parts) - whole[resource].value) <= len(parts)
    assert whole["BRAMs"].error_worst == whole["DSPs"].error_worst == 0


def test_a_prediction_takes_less_than_a_millisecond() -> None:
    model, config = load_model(), shipped()[0].config
    times = []
    for bits in range(16, 36):
        changed = replace(config, arithmetic=replace(config.arithmetic, accumulator_bits=bits))
        start = time.process_time()
        model.predict(changed)
        times.append(time.process_time() - start)
    assert statistics.median(times) < 1e-3


def test_what_is_measured_is_grouped_by_part_and_goes_through_json() -> None:
    def part(luts: int, ffs: int) -> tuple[int, dict[str, int]]:
        return 1, {"LUTs": luts, "FFs": ffs, "BRAMs": 1, "DSPs": 2}

    names = ("compute.array", "compute.array.element_0", "compute.accumulator_lane", "compute", "load", "")
    area = Area(
        shipped()[0].config,
        {"LUTs": 63, "FFs": 0, "BRAMs": 6, "DSPs": 12},
        {name: part(1 << index, index) for index, name in enumerate(names)},
    )
    measured = Measured.of(area)
    assert {name: group["LUTs"] for name, group in measured.groups.items()} == {
        "array": 3, "accumulators": 4, "lanes": 0, "weight lanes": 0, "control": 56,
    }  # fmt: skip
    assert (measured.block_rams, measured.dsps) == (6, 12)
    assert Measured.from_dict(json.loads(json.dumps(measured.as_dict()))) == measured


def test_too_few_syntheses_make_no_model() -> None:
    with pytest.raises(ValueError, match="must be fitted on 8 synthesized configs or more, not 3"):
        AreaModel(shipped()[:3])
