"""`load_tflite`: a quantized TensorFlow Lite file as an integer `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph, Tensor
from emulator.host_part import HostPart

from ..reading.errors import ModelError, in_file
from ..reading.graph_builder import GraphBuilder
from ..reading.stored.arithmetic import choose_arithmetic
from ..reading.stored.layers import read_layers
from ..reading.stored.tables import read_tables
from .environment import Environment, check_without_data
from .file import TfliteFile, read_tflite
from .head import TfliteHead, float_input
from .operator import Operator, operator
from .operators.table import HOST, LOWERINGS, hint
from .tail import Array, Step, TfliteTail, unsigned

MOST_SHOWN = 20
# The shape of the result is that of its tensor; what computes the operand that says so too (SHAPE, PACK) is not needed.
READ_INPUTS = {"RESHAPE": slice(0, 1), "TRANSPOSE_CONV": slice(1, 4)}


def load_tflite(
    path: str | PathLike[str],
    arithmetic: Arithmetic | None = None,
    override: bool = False,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Read an int8 or uint8 TensorFlow Lite file, files of unknown origin included, as integers.

    path : a .tflite file, fully quantized
    arithmetic : None takes the file's metadata ``lockstep.arithmetic``, or the default where there is none;
        `Arithmetic.tflm` gives the bits of TensorFlow Lite for Microcontrollers (contract, section 11)
    override : take `arithmetic` even where the metadata differs
    outputs : names of tensors to be the outputs in place of the file's

    A layer has the name of the tensor that it makes. Arrays at the graph's doors have the file's layout, and its batch
    axis may have any size. Uint8 codes come in and go out as the file has them. `Graph.metadata` holds ``producer``,
    ``codes`` {layer: tensor of the file that has its codes}, ``unsigned_inputs`` and ``layers``.

    Raises `ModelError` (a ``ValueError``), one sentence with file, operator and reason, for all that is damaged, not
    supported or does not fit the arithmetic, all operators at once; ``TypeError`` if `arithmetic` is no `Arithmetic`.
    """
    with in_file(path):
        file = read_tflite(path)
        return graph_of(file, choose_arithmetic(file.metadata, arithmetic, override), outputs)


def graph_of(file: TfliteFile, arithmetic: Arithmetic, outputs: Sequence[str] | None = None) -> Graph:
    """The integer graph of a file's parts."""
    names = [tensor.name for tensor in file.tensors]
    shown = _shown(file, outputs)
    _check_makers(file)
    operators = _needed([operator(found, names, file.accessors) for found in file.operators], shown)
    builder = GraphBuilder(arithmetic, read_tables(file.metadata, arithmetic))
    env = Environment(file, builder, _batch(file))
    head = _inputs(env, operators)
    _lower(env, operators)
    graph_outputs, tail = _outputs(env, shown)
    codes = {name: name for name in builder.inputs} | env.holders
    return Graph(
        inputs=tuple(replace(tensor, channels_last=True) for tensor in builder.inputs.values()),
        nodes=tuple(replace(node, channels_last=True) for node in builder.nodes),
        outputs=graph_outputs,
        arithmetic=arithmetic,
        metadata={
            "producer": file.description,
            "codes": codes,
            "bias_errors": {},
            "orders": {},
            "layers": read_layers(file.metadata),
            "unsigned_inputs": [file.tensors[i].name for i in file.inputs if file.tensors[i].type == "uint8"],
        },
        head=head,
        tail=tail,
    )


def _shown(file: TfliteFile, outputs: Sequence[str] | None) -> list[int]:
    if outputs is None:
        found = [index for index in file.outputs if index >= 0]
    else:
        index_of = {tensor.name: tensor.index for tensor in file.tensors}
        for name in outputs:
            if name not in index_of:
                raise ValueError(f"outputs must be names of its tensors, not {name!r}")
        found = [index_of[name] for name in outputs]
    if not found:
        raise ValueError("must have outputs")
    return list(dict.fromkeys(found))


def _needed(operators: list[Operator], shown: list[int]) -> list[Operator]:
    """The operators that the outputs need, in the file's order, which is that of execution."""
    wanted, needed = set(shown), []
    for op in reversed(operators):
        if wanted.intersection(op.made):
            needed.append(op)
            wanted.update(_reads(op))
    return needed[::-1]


def _check_makers(file: TfliteFile) -> None:
    """Raise ``ValueError`` where a tensor has two origins, or is read in front of its own."""
    inputs, makers = set(file.inputs), dict[int, int]()
    for found in file.operators:
        for index in found.outputs:
            if index in makers or (index in inputs and index >= 0):
                first = f"operator {makers[index]}" if index in makers else "an input"
                raise ValueError(f"{file.tensors[index]} must have one origin, not {first} and operator {found.index}")
            if index >= 0:
                makers[index] = found.index
    for found in file.operators:
        for index in found.inputs:
            if makers.get(index, -1) >= found.index:
                raise ValueError(
                    f"operator {found.index} ({found.code}) reads {file.tensors[index]}, which operator "
                    f"{makers[index]} makes behind it"
                )


def _reads(op: Operator) -> tuple[int, ...]:
    return op.inputs[READ_INPUTS.get(op.type, slice(None))]


def _batch(file: TfliteFile) -> int:
    """The size of the inputs' common first axis, 1 where they have none."""
    sizes = {file.tensors[index].shape[:1] for index in file.inputs if index >= 0}
    common = sizes.pop() if len(sizes) == 1 else (1,)
    return common[0] if common and common[0] > 0 else 1


def _inputs(env: Environment, operators: list[Operator]) -> HostPart | None:
    """Declare the graph's inputs; the head where the host must do more than the graph's own door."""
    bytes_of: list[str] = []
    rounded: dict[str, tuple[float, int]] = {}
    for index in dict.fromkeys(env.file.inputs):
        found = env.file.tensors[index] if index >= 0 else None
        if found is None or not any(index in op.inputs for op in operators):
            continue
        if found.type == "float32":
            op = float_input(env, found, operators)
            scale, zero_point = env.quantization(env.output(op))
            rounded[found.name] = scale, zero_point
        else:
            scale, zero_point = env.quantization(found)
        check_without_data(found)
        tensor = Tensor(
            name=found.name,
            shape=env.sample_shape(found),
            scale=scale,
            zero_point=zero_point,
            y_min=env.builder.arithmetic.activation_range[0],
            y_max=env.builder.arithmetic.activation_range[1],
        )
        env.builder.reserve(found.name)
        env.builder.check(tensor)
        env.builder.inputs[found.name] = tensor
        env.made[index] = tensor
        if found.type == "uint8":
            bytes_of.append(found.name)
    if not env.builder.inputs:
        raise ValueError("must have inputs that its outputs need")
    if not env.tflm:
        rounded = {}
    return TfliteHead(tuple(dict.fromkeys([*bytes_of, *rounded])), rounded) if bytes_of or rounded else None


def _lower(env: Environment, operators: list[Operator]) -> None:
    """All operators; ``ValueError`` with every refusal."""
    refusals: list[str] = []
    unknown: set[int] = set()
    for op in operators:
        if unknown.intersection(_reads(op)):
            unknown.update(op.made)
            if op.type not in LOWERINGS:
                refusals.append(f"{op}: is not read; {hint(op.type)}")
            continue
        try:
            _lower_one(env, op)
        except ValueError as error:
            refusals.append(f"{op}: {error}")
            unknown.update(index for index in op.made if index not in env.made)
    if refusals:
        more = f"; and {len(refusals) - MOST_SHOWN} more" if len(refusals) > MOST_SHOWN else ""
        raise ModelError("; ".join(refusals[:MOST_SHOWN]) + more)


def _lower_one(env: Environment, op: Operator) -> None:
    hosted = [index for index in op.inputs if index in env.tail]
    if hosted:
        if op.type not in HOST:
            raise ValueError(
                f"reads what the host computes in {env.tail.maker(hosted[0])}; behind that only "
                f"{', '.join(HOST)} run, so quantize the operators between, or cut with outputs= in front"
            )
        HOST[op.type](env, op)
        return
    if op.type not in LOWERINGS:
        raise ValueError(f"is not read; {hint(op.type)}")
    LOWERINGS[op.type](env, op)


def _outputs(env: Environment, shown: list[int]) -> tuple[dict[str, str], HostPart | None]:
    """(name of the graph's output → layer, the tail)."""
    tensors = env.file.tensors
    for index in shown:
        if index not in env.made and index not in env.tail:
            raise ValueError(f"output {tensors[index].name!r} is made by no operator, or it is a constant")
    shows = {index: index for index in shown}
    steps = []
    for number, index in enumerate(shown, len(tensors)):
        finish = _finish(env, index)
        if finish is not None:
            steps.append(Step(f"output {tensors[index].name!r}", (index,), number, finish))
            shows[index] = number
    hosted = [index for index in shown if index in env.tail or shows[index] != index]
    reads, needed = env.tail.needed([index for index in shown if index in env.tail])
    reads = sorted({*reads, *(index for index in hosted if index in env.made)})
    outputs = {tensors[index].name: env.made[index].name for index in (*shown, *reads) if index in env.made}
    # An output that the tail reads is shown by the tail.
    through = [index for index in shown if index in hosted or index in reads]
    if not through:
        return outputs, None
    tail = TfliteTail(
        tuple(tensors[index].name for index in reads),
        tuple(tensors[index].name for index in through),
        tuple(reads),
        tuple(shows[index] for index in through),
        (*needed, *steps),
    )
    return outputs, tail


def _finish(env: Environment, index: int) -> Callable[[Array], Array] | None:
    """What makes the file's own array of a value of the graph or the tail, None: it is that."""
    found = env.file.tensors[index]
    flat = len(found.shape) == 1 and env.has_batch(found) and index in env.made
    if found.type == "uint8":
        return (lambda codes: unsigned(codes).reshape(-1)) if flat else unsigned
    return (lambda codes: codes.reshape(-1)) if flat else None
