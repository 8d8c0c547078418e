"""What a graph asks of the accelerator that not every one has."""

from __future__ import annotations

from emulator.config import AcceleratorConfig
from emulator.graph import Add, Convolution, Graph, Linear, MatrixProduct, Node, RescaledAdd, Tensor
from emulator.graph.partial_sums import legal_codes

from .compile_error import CompileError


def default_config(graph: Graph) -> AcceleratorConfig:
    """The default accelerator, with the graph's arithmetic and what its layers need."""
    weighted = [node for node in graph.nodes if isinstance(node, Convolution | Linear)]
    return AcceleratorConfig(
        arithmetic=graph.arithmetic,
        weight_zero_points=any(_has_zero_points(node) for node in weighted)
        or any(graph.tensor(node.inputs[1]).zero_point for node in graph.nodes if isinstance(node, MatrixProduct)),
        raw_outputs=any(node.raw for node in weighted),
    )


def check_features(graph: Graph, config: AcceleratorConfig) -> None:
    """Raise `CompileError` for the first layer that the accelerator of `config` was not built for."""
    tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in (*graph.inputs, *graph.nodes)}
    for node in graph.nodes:
        if isinstance(node, MatrixProduct):
            missing = _missing_of_product(graph, tensors[node.inputs[1]], config)
        else:
            missing = _missing(node, config)
        if missing:
            raise CompileError(f"layer {node.name!r}: {missing}")


def _has_zero_points(node: Convolution | Linear) -> bool:
    return node.weight_zero_point is not None and bool(node.weight_zero_point.any())


def _missing_of_product(graph: Graph, second: Tensor, config: AcceleratorConfig) -> str | None:
    if second.zero_point and not config.weight_zero_points:
        return (
            f"its second operand {second.name!r} has the zero point {second.zero_point}, "
            "for which the config needs weight_zero_points = true"
        )
    (low, high), (least, most) = config.arithmetic.weight_range, legal_codes(graph, second)
    if least < low or most > high:
        return (
            f"the codes of its second operand {second.name!r} are weights, which must be from {low} to {high} "
            f"(weight_bits = {config.arithmetic.weight_bits}), not from {least} to {most}"
        )
    return None


def _missing(node: Node, config: AcceleratorConfig) -> str | None:
    if isinstance(node, Convolution | Linear):
        if _has_zero_points(node) and not config.weight_zero_points:
            return "its weights have a zero point other than 0, for which the config needs weight_zero_points = true"
        if node.raw and not config.raw_outputs:
            return "its sums are an output of the model, for which the config needs raw_outputs = true"
    adder = config.arithmetic.adder
    if isinstance(node, Add) and adder != "shared_shift":
        return f"an Add needs an arithmetic whose adder is 'shared_shift', not {adder!r}, whose sums are RescaledAdd"
    if isinstance(node, RescaledAdd) and adder != "rescaled":
        return f"a RescaledAdd needs an arithmetic whose adder is 'rescaled', not {adder!r}, whose sums are Add"
    return None
