"""`load_onnx`: a quantized (QDQ) ONNX file as an integer `Graph`."""

from __future__ import annotations

from os import PathLike

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor, stored_shape

from ..reading.errors import in_file, located
from ..reading.graph_builder import GraphBuilder
from ..reading.graph_input import InputSource
from ..reading.origin import Origin
from ..reading.rearrange import in_logical_order
from ..reading.rounding import operand
from ..reading.sizes import check_elements
from ..reading.stored_arithmetic import choose_arithmetic
from ..reading.stored_layers import read_layers
from ..reading.stored_tables import read_tables
from ..reading.values import Codes, Real
from .environment import Environment
from .file import OnnxFile, fixed_batch, input_shape, read_onnx
from .operator import operator
from .operators.table import LOWERINGS, check_supported
from .order import needed_in_order
from .schema import check_schema


def load_onnx(path: str | PathLike[str], arithmetic: Arithmetic | None = None, override: bool = False) -> Graph:
    """Read a quantized ONNX model, files of unknown origin included, as integers (contract, section 4, "Reading ONNX").

    path : an ONNX file with QuantizeLinear/DequantizeLinear (QDQ) pairs, operator set 13–25
    arithmetic : None takes the file's metadata ``lockstep.arithmetic``, or the default where there is none
    override : take `arithmetic` even where the metadata differs

    Lookup tables are those of the metadata entry ``lockstep.tables`` where it has them, otherwise computed.

    A layer is named after the node that computes it (Conv, Gemm, MaxPool, …), after its codes where that has no name.
    `Graph.metadata` holds ``producer``, ``opset``, ``codes`` {tensor name: the ONNX tensor that holds its codes},
    ``bias_errors`` {layer name: how far rounding its float bias can move a result, in codes} and ``orders`` {vector:
    the stored shape of the feature map that it was flattened from, in whose order its codes are}, and ``layers``, what
    the file's metadata entry ``lockstep.layers`` says about them, {} where it has none.

    Raises `ModelError` (a ``ValueError``), one sentence with file, node, operator and reason, for all that is damaged,
    not supported or does not fit the arithmetic; ``TypeError`` if `arithmetic` is no `Arithmetic`.
    """
    with in_file(path):
        file = read_onnx(path)
        return _read_graph(file, choose_arithmetic(file.metadata, arithmetic, override))


def _read_graph(file: OnnxFile, arithmetic: Arithmetic) -> Graph:
    outputs = [value.name for value in file.outputs]
    given = [value.name for value in file.inputs] + list(file.initializers)
    operators = needed_in_order([operator(node) for node in file.graph.node], given, outputs)
    check_supported(operators)
    builder = GraphBuilder(arithmetic, read_tables(file.metadata, arithmetic))
    env = Environment(builder, file.path.parent, file.initializers, _batch(file))
    for value in file.inputs:
        shape = input_shape(value)
        check_elements(shape, f"graph input {value.name!r}")
        origin = Origin(value.name, "graph input", (value.name,))
        env.values[value.name] = Real(InputSource(origin, stored_shape(shape)))
        builder.reserve(value.name)
    codes: dict[str, str] = {}
    for op in operators:
        with located(str(op)):
            check_schema(op, file.opset)
            result = LOWERINGS[op.type](env, op)
        for name, made in zip(op.outputs, result if isinstance(result, tuple) else (result,), strict=False):
            env.values[name] = made
            if isinstance(made, Codes):
                codes.setdefault(made.tensor.name, name)
    shown = {name: _output(env, name) for name in outputs}
    for value in file.inputs:
        if value.name not in builder.inputs:
            raise ValueError(f"graph input {value.name!r} reaches no QuantizeLinear")
    return Graph(
        inputs=tuple(builder.inputs[value.name] for value in file.inputs),
        nodes=tuple(builder.nodes),
        outputs={name: tensor.name for name, tensor in shown.items()},
        arithmetic=arithmetic,
        metadata={
            "producer": file.producer,
            "opset": file.opset,
            "codes": codes,
            "bias_errors": builder.bias_errors,
            "orders": builder.orders,
            "layers": read_layers(file.metadata),
        },
    )


def _output(env: Environment, name: str) -> Tensor:
    with located(f"graph output {name!r}"):
        value = env.value(name)
        if isinstance(value, Codes):
            tensor = value.tensor
        elif isinstance(value, Real):
            tensor = operand(env.builder, value)
        else:
            raise ValueError("is a constant")
        return in_logical_order(env.builder, tensor)


def _batch(file: OnnxFile) -> int | None:
    sizes = {fixed_batch(value) for value in file.inputs} - {None}
    if len(sizes) > 1:
        raise ValueError(f"all graph inputs must have one batch size, not {sorted(size for size in sizes if size)}")
    return sizes.pop() if sizes else None
