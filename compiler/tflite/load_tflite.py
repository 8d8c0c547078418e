"""`load_tflite`: a quantized TensorFlow Lite file as an integer `Graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike

from emulator.arithmetic import Arithmetic
from emulator.graph import Graph

from ..reading.errors import ModelError, in_file
from ..reading.graph_builder import GraphBuilder
from ..reading.shown_outputs import check_outputs
from ..reading.stored.arithmetic import choose_arithmetic
from ..reading.stored.layers import read_layers
from ..reading.stored.tables import read_tables
from .ends import declare_inputs, declare_outputs
from .environment import Environment
from .file import TfliteFile, read_tflite
from .operator import Operator, operator
from .operators.table import HOST, LOWERINGS, hint
from .order import check_makers, common_batch, needed_in_order, read_inputs, shown_tensors

MOST_SHOWN = 20


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
    supported or does not fit the arithmetic, all operators at once; ``TypeError`` if `arithmetic` is no `Arithmetic`
    or `outputs` no sequence of names.
    """
    with in_file(path):
        check_outputs(outputs)
        file = read_tflite(path)
        return graph_of(file, choose_arithmetic(file.metadata, arithmetic, override), outputs)


def graph_of(file: TfliteFile, arithmetic: Arithmetic, outputs: Sequence[str] | None = None) -> Graph:
    """The integer graph of a file's parts."""
    names = [tensor.name for tensor in file.tensors]
    shown = shown_tensors(file, outputs)
    check_makers(file)
    operators = needed_in_order([operator(found, names, file.accessors) for found in file.operators], shown)
    builder = GraphBuilder(arithmetic, read_tables(file.metadata, arithmetic))
    env = Environment(file, builder, common_batch(file))
    head = declare_inputs(env, operators)
    _lower(env, operators)
    graph_outputs, tail = declare_outputs(env, shown)
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
            "unsigned_inputs": [t.name for t in file.tensors if t.name in builder.inputs and t.type == "uint8"],
        },
        head=head,
        tail=tail,
    )


def _lower(env: Environment, operators: list[Operator]) -> None:
    """All operators; ``ValueError`` with every refusal."""
    refusals: list[str] = []
    unknown: set[int] = set()
    for op in operators:
        if unknown.intersection(read_inputs(op)):
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
