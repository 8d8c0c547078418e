"""Resize and Upsample against ONNX Runtime: gathers of codes, and interpolation with one rounding."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Arithmetic, Convolution, run_graph
from tests.compiler.expected import images
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

SX = 0.0371
TRANSFORMATIONS = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric")


def resized(shape, scales=None, sizes=None, kind="int8", **attributes) -> Model:
    """The model; its result has the scale 0.0113 where it is computed, and its input's where it is moved."""
    model = Model(attributes.pop("opset", 19))
    zero = 3 if kind == "int8" else 131
    x = model.qdq(model.input(shape), SX, zero, kind)
    given = [model.constant(scales)] if scales is not None else ["", model.constant(sizes, "int64")]
    y = model.node("Resize", [x, "", *given], "layer", **attributes)
    out = (0.0113, zero) if attributes.get("mode") == "linear" else (SX, zero)
    model.output(model.qdq(y, *out, kind))
    return model


def difference(model: Model, folder, x) -> tuple[np.ndarray, np.ndarray]:
    """(ours − ONNX Runtime's codes, the distance of its real numbers from a tie)."""
    last = model.nodes[-2]
    codes, real = runtime(model, [last.output[0], last.input[0]], x)
    graph = load_onnx(model.save(folder))
    (ours,) = run_graph(graph, x).values()
    check_machines(graph, {name: array[:1] for name, array in x.items()})
    assert ours.shape == codes.shape
    step = 0.0113 if any(isinstance(node, Convolution) for node in graph.nodes) else SX
    steps = real.astype(np.float64) / np.float64(np.float32(step))
    offset = 128 if codes.dtype == np.uint8 else 0
    return ours - (codes.astype(np.int64) - offset), np.abs(steps - np.floor(steps) - 0.5)


@pytest.mark.parametrize("transformation", [*TRANSFORMATIONS, "tf_half_pixel_for_nn"])
@pytest.mark.parametrize("rule", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("scales", [(2, 2), (3, 1), (0.5, 2.5), (1.5, 0.4)], ids=str)
def test_nearest_is_a_gather(transformation, rule, scales, tmp_path):
    if transformation == "half_pixel_symmetric":
        scales = {(0.5, 2.5): (0.5, 3), (1.5, 0.4): (1.5, 1)}.get(scales, scales)
    model = resized((2, 4, 5), [1, 1, *scales], coordinate_transformation_mode=transformation, nearest_mode=rule)
    wrong, _ = difference(model, tmp_path, images((3, 2, 4, 5)))
    assert not wrong.any()


def test_nearest_of_sizes_channels_and_sequences(tmp_path):
    for shape, sizes in (((2, 4, 5), [3, 2, 7, 9]), ((2, 4, 5), [3, 6, 4, 5]), ((3, 6), [3, 3, 13])):
        model = resized(shape, sizes=sizes, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        model.inputs[0].type.tensor_type.shape.dim[0].dim_value = 3
        assert not difference(model, tmp_path, images((3, *shape)))[0].any()


def test_axes_name_what_the_scales_are_of(tmp_path):
    model = resized(
        (2, 4, 5), [2.0, 3.0], axes=[3, 2], coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    assert not difference(model, tmp_path, images((3, 2, 4, 5)))[0].any()


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("scales", [(2, 2), (3, 1), (4, 2), (0.5, 2), (1.5, 2.5)], ids=str)
def test_linear_is_one_rounding(transformation, scales, kind, tmp_path):
    if transformation == "half_pixel_symmetric" and scales == (1.5, 2.5):
        scales = (1.5, 2)
    model = resized((2, 4, 5), [1, 1, *scales], kind=kind, mode="linear", coordinate_transformation_mode=transformation)
    x = images((3, 2, 4, 5), spread=0.4)
    wrong, distance = difference(model, tmp_path, x)
    assert (np.abs(wrong[wrong != 0]) == 1).all() and (distance[wrong != 0] < 2.0**-12).all()
    assert np.count_nonzero(wrong) <= 8


def test_linear_of_sizes_and_sequences(tmp_path):
    for shape, sizes in (((2, 4, 5), [3, 2, 8, 15]), ((3, 6), [3, 3, 12])):
        model = resized(shape, sizes=sizes, mode="linear", coordinate_transformation_mode="half_pixel")
        model.inputs[0].type.tensor_type.shape.dim[0].dim_value = 3
        wrong, distance = difference(model, tmp_path, images((3, *shape), spread=0.4))
        assert (distance[wrong != 0] < 2.0**-12).all()


def test_weights_beyond_the_codes_are_those_of_several_channels(tmp_path):
    """Interpolation by 8 has weights up to 225: two channels of the same codes."""
    model = resized((2, 3, 2), [1, 1, 8, 8], mode="linear", coordinate_transformation_mode="half_pixel")
    x = images((2, 2, 3, 2), spread=0.4)
    wrong, distance = difference(model, tmp_path, x)
    assert (distance[wrong != 0] < 2.0**-12).all() and np.count_nonzero(wrong) <= 4
    (layer,) = (node for node in load_onnx(model.save(tmp_path)).nodes if isinstance(node, Convolution))
    assert layer.weight.shape[-1] == 2 and layer.weight.astype(int).sum(axis=-1).max() == 225


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("scales", [(2, 2), (4, 1), (0.5, 2)], ids=str)
def test_interpolated_codes_lose_their_fraction(kind, scales, tmp_path):
    """Without DequantizeLinear in front ONNX Runtime interpolates the codes and drops the fraction, toward code 0."""
    model = Model(19)
    parameters = [model.constant(SX), model.constant(3 if kind == "int8" else 131, kind)]
    codes = model.node("QuantizeLinear", [model.input((2, 4, 5)), *parameters])
    y = model.node("Resize", [codes, "", model.constant([1, 1, *scales])], "layer", mode="linear")
    model.output(model.node("DequantizeLinear", [y, *parameters]))
    x = images((20, 2, 4, 5))
    (theirs,) = runtime(model, [y], x)
    graph = load_onnx(model.save(tmp_path))
    (ours,) = run_graph(graph, x).values()
    np.testing.assert_array_equal(ours, theirs.astype(np.int64) - (128 if kind == "uint8" else 0))
    check_machines(graph, {"input": x["input"][:1]})


@pytest.mark.parametrize(("attributes", "text"), [
    ({"mode": "cubic"}, "mode must be nearest or linear, not 'cubic'"),
    ({"antialias": 1}, "antialias must be 0, not 1 (export the interpolation without it)"),
    ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "coordinate_transformation_mode must be one of"),
    ({"nearest_mode": "up"}, "nearest_mode must be floor, ceil, round_prefer_floor or round_prefer_ceil, not 'up'"),
    ({"scales": [2, 1, 2, 2]}, "the batch must keep its size"),
    ({"scales": [1, 1, 2]}, "must have scales or sizes, one for each of 4 axes, and not both"),
    ({"scales": [1, 1, 2, -1]}, "scales must be from 0 to 1048576, not (1.0, 1.0, 2.0, -1.0)"),
    ({"scales": [1, 1, 1e-3, 1]}, "the result must have sizes from 1 to 1048576, not (2, 0, 5)"),
    ({"scales": [1, 1, 1.2345, 1], "mode": "linear"}, "needs a scale that is a ratio of small integers, not 1.2345"),
    ({"scales": [1, 1, 1.3, 1], "coordinate_transformation_mode": "half_pixel_symmetric"}, "needs scales that give w"),
    ({"scales": [1, 2, 2, 2], "mode": "linear"}, "linear interpolation is of the height and width of maps"),
])  # fmt: skip
def test_refusals(attributes, text, tmp_path):
    refused(resized((2, 4, 5), **({"scales": [1, 1, 2, 2]} | attributes)), tmp_path, "Resize 'layer': ")
    refused(resized((2, 4, 5), **({"scales": [1, 1, 2, 2]} | attributes)), tmp_path, text)


def test_narrow_accumulators_are_named(tmp_path):
    model = resized((2, 4, 5), [1, 1, 2, 2], mode="linear")
    refused(model, tmp_path, "need more than 12 bits (accumulator_bits)", arithmetic=Arithmetic(accumulator_bits=12))
