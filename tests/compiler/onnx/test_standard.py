"""Files that contradict the ONNX standard in types, shapes or attributes: refused, as ONNX Runtime does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from compiler import ModelError, load_onnx
from tests.compiler.models import Model, small_network
from tests.compiler.refusals import map_model


def wrong_output_type(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8


def undefined_output_type(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UNDEFINED


def wrong_inner_type(proto: onnx.ModelProto) -> None:
    codes = next(node.output[0] for node in proto.graph.node if node.op_type == "QuantizeLinear")
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info(codes, TensorProto.FLOAT, None))


def integer_beside_integers(proto: onnx.ModelProto) -> None:
    """An attribute that is said to hold INTS holds a FLOAT too."""
    attribute = next(a for node in proto.graph.node if node.op_type == "Conv" for a in node.attribute)
    attribute.f = 1.0


def zero_points_with_two_axes(proto: onnx.ModelProto) -> None:
    next(t for t in proto.graph.initializer if list(t.dims) == [8] and t.data_type == TensorProto.INT8).dims.append(1)


def bias_with_two_axes(proto: onnx.ModelProto) -> None:
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    made = next(node for node in proto.graph.node if conv.input[2] in node.output)
    for tensor in proto.graph.initializer:
        if tensor.name == made.input[0]:
            tensor.dims.append(1)


def version_below_one(proto: onnx.ModelProto) -> None:
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", -3))


CHANGES: dict[Callable[[onnx.ModelProto], None], str] = {
    wrong_output_type: "contradicts the ONNX standard",
    undefined_output_type: "is declared with the element type 0",
    wrong_inner_type: "contradicts the ONNX standard",
    zero_points_with_two_axes: "zero point must be one number or one per channel, not of shape (8, 1)",
    bias_with_two_axes: "bias must have one axis, not 2",
    version_below_one: "must import domain 'com.microsoft' in a version of at least 1, not -3",
    integer_beside_integers: "says that it holds 'ints', and holds ['f', 'ints']",
}


def check(proto: onnx.ModelProto, path: Path, text: str) -> None:
    """ONNX Runtime refuses to load or run the file, and so does the reader, in one sentence."""
    path.write_bytes(proto.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        session = onnxruntime.InferenceSession(path, options)
        session.run(None, {node.name: np.zeros([1, *node.shape[1:]], np.float32) for node in session.get_inputs()})
    with pytest.raises(ModelError) as caught:
        load_onnx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and text in message and "\n" not in message, message


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_contradictions(change: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    proto = small_network().proto()
    load_onnx(small_network().save(tmp_path))
    change(proto)
    check(proto, tmp_path / "changed.onnx", CHANGES[change])


def test_slice_by_scalars(tmp_path: Path) -> None:
    def sliced(model: Model, x: str, start: object) -> str:
        ends, axes = (model.constant([number], "int64") for number in (4, 2))
        return model.node("Slice", [x, model.constant(start, "int64"), ends, axes])

    load_onnx(map_model(lambda model, x: sliced(model, x, [1])).save(tmp_path))
    check(
        map_model(lambda model, x: sliced(model, x, 1)).proto(),
        tmp_path / "scalar.onnx",
        "starts must have one axis, not 0",
    )


def test_batch_of_zero(tmp_path: Path) -> None:
    """Nothing can be run with it; a negative one is left open, as in ONNX Runtime."""
    assert load_onnx(small_network(batch=-1).save(tmp_path)).nodes
    with pytest.raises(ModelError, match=r"input.* must have a batch of at least 1, or one that is left open, not 0$"):
        load_onnx(small_network(batch=0).save(tmp_path))


def test_declared_shapes_are_not_held_against_a_file(tmp_path: Path) -> None:
    """ONNX Runtime runs files whose declared shapes are those of another batch."""
    model = small_network()
    proto = model.proto()
    inner = next(node.output[0] for node in proto.graph.node if node.op_type == "Conv")
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info(inner, TensorProto.FLOAT, [7, 1, 2, 3]))
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    assert len(load_onnx(path).nodes) == len(load_onnx(model.save(tmp_path)).nodes)


def qgemm(bias: list[object], kind: str, declared: int) -> onnx.ModelProto:
    """QGemm of com.microsoft, whose result's type ONNX's inference does not know, before a Reshape that keeps it."""
    model = Model()
    x, scale, zero = model.quantize(model.input((4,)), 0.05), model.constant(0.05), model.constant(0, "int8")
    weight = model.constant([[1, 2, 3, 4], [5, 6, 7, -8]], "int8")
    inputs = [x, scale, zero, weight, scale, zero, model.constant(bias, kind), scale, zero]
    codes = model.node("QGemm", inputs, transB=1, domain="com.microsoft")
    model.output(model.node("Reshape", [codes, model.constant([0, 2], "int64")]))
    proto = model.proto()
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    proto.graph.output[0].type.tensor_type.elem_type = declared
    return proto


def test_types_behind_operators_that_onnx_does_not_know(tmp_path: Path) -> None:
    right = tmp_path / "right.onnx"
    right.write_bytes(qgemm([1, 2], "int32", TensorProto.INT8).SerializeToString())
    assert load_onnx(right).nodes
    check(qgemm([1.0, 2.0], "float32", TensorProto.INT8), tmp_path / "bias.onnx", "must be INT32")
    check(qgemm([1, 2], "int32", TensorProto.FLOAT), tmp_path / "output.onnx", "is declared as FLOAT, not INT8")
