"""Parts of an ONNX model as models of their own, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from emulator.operators.quantize import dequantize

from .counterparts import Counterparts

Arrays = dict[str, NDArray[Any]]


class OnnxSlices:
    """A model whose tensors can be computed from any others that cut it off from the graph's inputs.

    batch : the batch size if the file fixes it, otherwise None
    made : the names of the tensors that its operators make
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        self._model = onnx.load(path)
        graph = self._model.graph
        self._twins = _join_twins(graph)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._maker = {name: node for node in graph.node for name in node.output if name}
        inputs = [value for value in graph.input if value.name not in self._initializers]
        self._types = {value.name: value.type.tensor_type.elem_type for value in inputs}
        self.made = frozenset(self._maker)
        shapes = [value.type.tensor_type.shape.dim for value in inputs]
        fixed = {shape[0].dim_value for shape in shapes if len(shape) and shape[0].dim_value > 0}
        self.batch: int | None = fixed.pop() if fixed else None

    def rounded_from(self, codes: str) -> str | None:
        """The real tensor that a QuantizeLinear rounds to `codes`; None if another node makes them."""
        node = self._maker.get(codes)
        return node.input[0] if node is not None and node.op_type == "QuantizeLinear" else None

    def typed(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """The model's inputs, floats in the float type that the file declares."""
        made = {}
        for name, array in arrays.items():
            dtype = helper.tensor_dtype_to_np_dtype(self._types[name]) if name in self._types else array.dtype
            made[name] = array.astype(dtype) if array.dtype.kind == dtype.kind == "f" else array
        return made

    def run(self, feeds: Mapping[str, NDArray[Any]], wanted: Sequence[str], optimized: bool = False) -> Arrays:
        """The tensors `wanted`, computed from the tensors of `feeds` alone, on the CPU.

        optimized : as a session with default options does it, or without any graph optimization

        Raises ``ValueError`` with ONNX Runtime's reason where it cannot run that part.
        """
        if not wanted:
            return {}
        feeds = {self._twins.get(name, name): array for name, array in feeds.items()}
        model = self._slice(feeds, wanted)
        options = onnxruntime.SessionOptions()
        if not optimized:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            count = max(array.shape[0] for array in feeds.values())
            step = self.batch or max(count, 1)
            read = [node.name for node in session.get_inputs()]
            parts = [
                session.run(list(wanted), {name: feeds[name][first : first + step] for name in read})
                for first in range(0, max(count, 1), step)
            ]
        except Exception as error:  # ONNX Runtime raises a dozen classes that share nothing but Exception
            reason = str(error).splitlines()[0]
            names = ", ".join(map(repr, wanted[:3])) + (f" and {len(wanted) - 3} more" if len(wanted) > 3 else "")
            raise ValueError(f"{self._path}: ONNX Runtime cannot compute {names}: {reason}") from None
        made = ([part[i] for part in parts] for i in range(len(wanted)))
        return {name: np.concatenate(m) if m[0].ndim else m[0] for name, m in zip(wanted, made, strict=True)}

    def input_feeds(self, counterparts: Counterparts, codes: Mapping[str, NDArray[np.int8]]) -> Arrays:
        """{tensor of the file: array} that gives the inputs of the graph these codes.

        The real numbers in front of their QuantizeLinear, which rounds them back to the codes; or the codes themselves,
        where they are an input of the file.
        """
        feeds = {}
        for name, array in codes.items():
            tensor, held = counterparts.tensors[name], counterparts.held[name]
            real = self.rounded_from(held)
            if real is None:
                dtype = helper.tensor_dtype_to_np_dtype(self._types[held]) if held in self._types else np.int8
                feeds[held] = counterparts.to_file(name, array, dtype)
            else:
                dtype = helper.tensor_dtype_to_np_dtype(self._types.get(real, onnx.TensorProto.FLOAT))
                feeds[real] = dequantize(array, tensor.scale, tensor.zero_point).astype(dtype)
        return feeds

    def layers(self, counterparts: Counterparts, codes: Mapping[str, NDArray[np.int8]]) -> Arrays:
        """{layer: its codes} of all layers that have a counterpart in the file, each from those before it.

        codes : {input of the graph: its codes, in the file's layout}
        """
        feeds = self.input_feeds(counterparts, codes)
        wanted = sorted({held for name, held in counterparts.held.items() if name not in codes} - set(feeds))
        return counterparts.layers(self.run(feeds, wanted))

    def cut(self, wanted: str, known: set[str]) -> list[str]:
        """The tensors of `known` or graph inputs that `wanted` is computed from, cutting at the nearest ones."""
        read = {self._twins.get(name, name): name for name in known}
        read.pop(self._twins.get(wanted, wanted), None)
        _, leaves = self._needed([wanted], set(read))
        return sorted(read.get(name, name) for name in leaves if name in read or name in self._types)

    def _needed(self, wanted: Sequence[str], given: set[str]) -> tuple[list[onnx.NodeProto], set[str]]:
        pending, seen, outputs = list(wanted), set[str](), set[str]()
        while pending:
            name = pending.pop()
            if not name or name in seen:
                continue
            seen.add(name)
            if name not in given and name in self._maker:
                outputs.add(name)
                pending.extend(self._maker[name].input)
        nodes = [node for node in self._model.graph.node if outputs & set(node.output)]
        return nodes, seen - outputs

    def _slice(self, feeds: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> bytes:
        nodes, leaves = self._needed(wanted, set(feeds))
        types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in feeds.items()}
        graph = helper.make_graph(
            nodes,
            "slice",
            [helper.make_tensor_value_info(name, kind, None) for name, kind in types.items() if name in leaves],
            [helper.make_empty_tensor_value_info(name) for name in wanted],
            [self._initializers[name] for name in sorted(leaves) if name in self._initializers],
        )
        model = helper.make_model(
            graph,
            opset_imports=self._model.opset_import,
            ir_version=self._model.ir_version,
            functions=self._model.functions,
        )
        return bytes(model.SerializeToString())


def _join_twins(graph: onnx.GraphProto) -> dict[str, str]:
    """{codes: those that are read in their place}: all read the first of the quantizers that round one tensor alike.

    Some quantizers give each reader of a tensor a QuantizeLinear of its own; which of them the compiler names its
    tensor after is its choice.
    """
    first: dict[tuple[object, ...], str] = {}
    twins: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            attributes = sorted(attribute.SerializeToString() for attribute in node.attribute)
            key = (node.domain, *node.input, *attributes)
            twins[node.output[0]] = first.setdefault(key, node.output[0])
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = twins.get(name, name)
    return twins
