"""The graph's inputs and outputs, and what the host does in front of them and behind."""

from __future__ import annotations

from collections.abc import Callable

from emulator.graph import Tensor
from emulator.graph.host_part import HostPart

from .environment import Environment, check_without_data
from .head import TfliteHead, float_input
from .operator import Operator
from .tail import Array, Step, TfliteTail, unsigned


def declare_inputs(env: Environment, operators: list[Operator]) -> HostPart | None:
    """Declare the graph's inputs; the head where the host must do more than the graph's own door."""
    readers: dict[int, list[Operator]] = {index: [] for index in env.file.inputs if index >= 0}
    for op in operators:
        for index in readers.keys() & set(op.inputs):
            readers[index].append(op)
    bytes_of: list[str] = []
    rounded: dict[str, tuple[float, int]] = {}
    for index in readers:
        found = env.file.tensors[index]
        if not readers[index]:
            continue
        if found.type == "float32":
            op = float_input(env, found, readers[index])
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


def declare_outputs(env: Environment, shown: list[int]) -> tuple[dict[str, str], HostPart | None]:
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
