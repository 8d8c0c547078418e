"""`OnnxWriter`: an ONNX graph of QDQ pairs while it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..integers.tensor import QuantizedTensor
from ..scales.weight_quantizers import WeightQuantizer

OPSET = 21
IR_VERSION = 10  # of the ONNX release that brought operator set 21


class OnnxWriter:
    """Collects nodes and constants.

    reals : layer name → ONNX tensor with the layer's dequantized values
    weights : weight quantizer → ONNX tensor with its dequantized weights, which several layers may share
    tables : layer name → the codes of its table, smallest input code first
    """

    def __init__(self) -> None:
        self.reals: dict[str, str] = {}
        self.weights: dict[WeightQuantizer, str] = {}
        self.tables: dict[str, NDArray[np.int8]] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def node(
        self, operator: str, name: str, inputs: Sequence[str], output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node; returns the name of its output, ``NAME/result`` unless `output` is given."""
        output = f"{name}/result" if output is None else output
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any] | np.generic) -> str:
        """Add a constant; returns its name."""
        self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def dequantized(
        self,
        name: str,
        codes: NDArray[Any],
        scale: NDArray[np.float32],
        bits: int = 8,
        zero_point: NDArray[np.int8] | None = None,
    ) -> str:
        """Constant codes with one scale per index of axis 0, and the DequantizeLinear behind them.

        zero_point : shaped as `scale`; None for all 0
        bits : codes of at most 4 bits are INT4, two to a byte; otherwise the type is that of `codes`
        """
        kind = helper.tensor_dtype_to_np_dtype(TensorProto.INT4) if bits <= 4 else codes.dtype
        inputs = [
            self.constant(f"{name}/codes", codes.astype(kind)),
            self.constant(f"{name}/scale", scale),
            self.constant(
                f"{name}/zero_point", np.zeros(scale.shape, kind) if zero_point is None else zero_point.astype(kind)
            ),
        ]
        return self.node("DequantizeLinear", f"{name}/dequantize", inputs, name, axis=0)

    def activation(self, name: str, real: str, y: QuantizedTensor) -> str:
        """A Relu or Clip in front of a QuantizeLinear where the legal codes are fewer than int8's."""
        if (y.y_min, y.y_max) == (-128, 127):
            return real
        if y.y_min == y.zero_point and y.y_max == 127:
            return self.node("Relu", f"{name}/relu", [real])
        # The dequantized bounds quantize to themselves.
        scale = y.scale.detach().cpu().numpy()
        bounds = [np.float32(bound - y.zero_point) * scale for bound in (y.y_min, y.y_max)]
        names = [
            self.constant(f"{name}/{which}", np.float32(bound))
            for which, bound in zip(("min", "max"), bounds, strict=True)
        ]
        return self.node("Clip", f"{name}/clip", [real, *names])

    def quantized(self, name: str, real: str, y: QuantizedTensor) -> None:
        """The QuantizeLinear that rounds `real` to the layer's codes, and the DequantizeLinear behind it."""
        parameters = [
            self.constant(f"{name}/scale", y.scale.detach().cpu().numpy()),
            self.constant(f"{name}/zero_point", np.int8(y.zero_point)),
        ]
        codes = self.node("QuantizeLinear", f"{name}/quantize", [real, *parameters], f"{name}/codes")
        self.reals[name] = self.node("DequantizeLinear", f"{name}/dequantize", [codes, *parameters], f"{name}/real")

    def model(
        self,
        inputs: Mapping[str, Sequence[int]],
        outputs: Mapping[str, tuple[str, Sequence[int]]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The checked model; inputs : name → shape; outputs : name → tensor and shape; without the batch axis."""
        names: dict[str, str] = {}
        for output, (tensor, _) in outputs.items():
            if names.setdefault(tensor, output) != output:  # shown twice
                self.node("Identity", output, [tensor], output)
        for node in self._nodes:
            for tensors in (node.input, node.output):
                tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
        given, shown = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in tensors]
            for tensors in (inputs.items(), ((output, shape) for output, (_, shape) in outputs.items()))
        )
        graph = helper.make_graph(self._nodes, "lockstep", given, shown, list(self._constants.values()))
        model = helper.make_model(
            graph, producer_name="lockstep", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model
