"""`load_onnx`: a quantized (QDQ) ONNX file as an integer `Graph`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from onnx import TensorProto, ValueInfoProto

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor, stored_shape

from ..reading.constants import Constant, QuantizedConstant
from ..reading.errors import in_file
from ..reading.graph_builder import GraphBuilder
from ..reading.graph_input import InputSource
from ..reading.origin import Origin
from ..reading.shown_outputs import check_outputs
from ..reading.sizes import check_elements
from ..reading.stored.arithmetic import choose_arithmetic
from ..reading.stored.layers import read_layers
from ..reading.stored.tables import read_tables
from ..reading.values import Codes, Real
from .environment import Environment
from .file import OnnxFile, fixed_batch, input_shape, read_onnx
from .formats import check_format, check_quantized
from .host.head import Head
from .host.tail import Tail
from .operator import Operator, operator
from .operators.rows.steps import with_norms
from .order import needed_in_order
from .read_operators import read_operators
from .refusals import RefusedError, refusal
from .standard import check_standard
from .values import AnyValue, Hosted, Refused


def load_onnx(
    path: str | PathLike[str],
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Read a quantized ONNX model, files of unknown origin included, as integers (contract, section 4, "Reading ONNX").

    path : an ONNX file with QuantizeLinear/DequantizeLinear (QDQ) pairs, operator set 10–28
    arithmetic : None takes the file's metadata ``lockstep.arithmetic``, or the default where there is none
    override : take `arithmetic` even where the metadata differs
    outputs : names of tensors of the file that are to be the outputs in place of its own; what lies behind them is left
        out, and may be anything

    What the file computes in float in front of its first QuantizeLinear becomes `Graph.head`, and what it computes
    behind its last codes `Graph.tail`: ONNX Runtime runs them on the host, or ONNX's reference evaluator where it is
    not installed. Without a tail, outputs are int8 codes: of a QuantizeLinear, or those that a DequantizeLinear makes
    real numbers of. With a tail they are all the file's own, floats of the last layer without a quantizer among them,
    which are its int64 sums times their scale. An int8 or uint8 input is codes already, with scale and zero point of
    the DequantizeLinear behind it; uint8 arrays come in and go out as they are, 128 above the graph's codes.

    Lookup tables are those of the metadata entry ``lockstep.tables`` where it has them, otherwise computed.

    A layer is named after the node that computes it (Conv, Gemm, MaxPool, …), after its codes where that has no name.
    `Graph.metadata` holds ``producer``, ``opset``, ``codes`` {tensor name: the ONNX tensor that holds its codes},
    ``bias_errors`` {layer name: how far rounding its float bias, or sums in front of a function, can move a result, in
    codes}, ``second_roundings`` {layer name: what is known of such sums}, ``channel_scales`` {tensor: the scales of its
    channels, where it has several}, ``quotients`` {table: what it rounds for each code, smallest first}, ``orders``
    {vector: the stored shape of the feature map that it was flattened from, in whose order its codes are}, and
    ``layers``, what the file's metadata entry ``lockstep.layers`` says about them, {} where it has none.

    Raises `ModelError` (a ``ValueError``), one sentence with file, node, operator and reason, for all that is damaged,
    not supported or does not fit the arithmetic; ``TypeError`` if `arithmetic` is no `Arithmetic` or
    `outputs` no sequence of names.
    """
    with in_file(path):
        check_outputs(outputs)
        file = read_onnx(path)
        chosen = choose_arithmetic(file.metadata, arithmetic, override)
        shown = [value.name for value in file.outputs] if outputs is None else list(dict.fromkeys(outputs))
        if not shown:
            raise ValueError("outputs must name at least one tensor")
        return _read_graph(file, chosen, shown)


def _read_graph(file: OnnxFile, arithmetic: Arithmetic, outputs: Sequence[str]) -> Graph:
    """The graph with as narrow a head as can be: one that takes over quantizers only if nothing else does."""
    try:
        return _graph(file, arithmetic, outputs, wide_head=False)
    except RefusedError as error:
        try:
            return _graph(file, arithmetic, outputs, wide_head=True)
        except ValueError:
            raise error from None


def _graph(file: OnnxFile, arithmetic: Arithmetic, outputs: Sequence[str], wide_head: bool) -> Graph:
    given = [value.name for value in file.inputs] + list(file.initializers)
    operators = needed_in_order([operator(node) for node in file.graph.node], given, outputs)
    check_format(operators)
    # Constants first, so that they are known wherever one looks ahead.
    operators.sort(key=lambda op: op.type != "Constant")
    readers = _readers(operators, outputs)
    batch = _batch(file)
    head = Head(file, operators, batch)
    builder = GraphBuilder(arithmetic, read_tables(file.metadata, arithmetic))
    env = Environment(builder, file.path.parent, file.initializers, batch, file.opset, readers, head, wide_head)
    for value in file.inputs:
        env.values[value.name] = _input(value)
        builder.reserve(value.name)
    held = read_operators(env, with_norms(env, operators, readers))
    tail = Tail(file, operators, env)
    if all(isinstance(env.any_value(name), Constant | QuantizedConstant) for name in outputs):
        raise ValueError(f"graph output {outputs[0]!r}: is a constant")
    if not operators:
        raise ValueError("no operator makes its outputs")
    behind, refused = tail.part(outputs)
    if refused:
        raise refusal(_roots(env, operators), readers)
    check_quantized(operators, bool(builder.inputs))
    shown = {tensor.name for tensor in tail.outputs.values()}
    builder.keep(shown.union(held))
    inputs = _inputs(file, builder, shown)
    front = head.part(inputs, builder.copies)
    if not builder.nodes and (front or behind) and any(part.model for part in (front, behind) if part):
        missing = _roots(env, operators) or [
            value.instead for value in env.values.values() if isinstance(value, Hosted) and value.instead
        ]
        if missing:
            raise refusal(missing, readers)
        raise ValueError(
            "leaves nothing to the accelerator, as nothing rounds what its layers make; have the quantizer do so"
        )
    used = {*(tensor.name for tensor in inputs), *(front.inputs if front else ()), *(behind.inputs if behind else ())}
    for value in file.inputs:
        if value.name not in used:
            raise ValueError(f"graph input {value.name!r} reaches no QuantizeLinear")
    codes = {name: value.type for name, value in env.values.items() if isinstance(value, Codes)}
    check_standard(file, operators, outputs, codes)  # last: a sentence about what is read above says more
    return Graph(
        inputs=inputs,
        nodes=tuple(builder.nodes),
        outputs={name: tensor.name for name, tensor in tail.outputs.items()},
        arithmetic=arithmetic,
        head=front,
        tail=behind,
        metadata={
            "producer": file.producer,
            "opset": file.opset,
            "codes": held,
            "bias_errors": builder.bias_errors,
            "channel_scales": builder.channel_scales,
            "quotients": builder.quotients,
            "second_roundings": builder.second_roundings,
            "orders": builder.orders,
            "layers": read_layers(file.metadata),
        },
    )


def _input(value: ValueInfoProto) -> AnyValue:
    """An input of the model: floats to be quantized; anything else is the host's, until it turns out to be codes."""
    kind = value.type.tensor_type.elem_type
    if kind not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        return Hosted(value.name)
    try:
        shape = input_shape(value)
        check_elements(shape, f"graph input {value.name!r}")
    except ValueError:
        return Hosted(value.name)  # which says the same to its first quantizer
    return Real(InputSource(Origin(value.name, "graph input", (value.name,)), stored_shape(shape)))


def _inputs(file: OnnxFile, builder: GraphBuilder, shown: set[str]) -> tuple[Tensor, ...]:
    """The inputs that a layer or an output reads, the model's own in its order first."""
    used = shown.union(*(node.inputs for node in builder.nodes))
    own = [value.name for value in file.inputs]
    found = [tensor for name, tensor in builder.inputs.items() if name in used]
    return tuple(sorted(found, key=lambda tensor: own.index(tensor.name) if tensor.name in own else len(own)))


def _readers(operators: Sequence[Operator], outputs: Sequence[str]) -> dict[str, list[Operator]]:
    """Tensor → the operators that read it; none for an output, which somebody reads who is not known."""
    readers: dict[str, list[Operator]] = {}
    for op in operators:
        for name in op.reads:
            readers.setdefault(name, []).append(op)
    return {name: ops for name, ops in readers.items() if name not in outputs}


def _roots(env: Environment, operators: Sequence[Operator]) -> list[Refused]:
    """All operators that are refused, but for those that only read what another one would make."""
    values = [env.values.get(op.output) for op in operators]
    made = zip(operators, values, strict=True)
    return [value for op, value in made if isinstance(value, Refused) and value.root is op]


def _batch(file: OnnxFile) -> int | None:
    sizes = {fixed_batch(value) for value in file.inputs} - {None}
    if len(sizes) > 1:
        raise ValueError(f"all graph inputs must have one batch size, not {sorted(size for size in sizes if size)}")
    return sizes.pop() if sizes else None
