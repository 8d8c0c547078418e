"""A model's own functions, put in the place of the nodes that call them."""

from __future__ import annotations

from onnx import FunctionProto, GraphProto, ModelProto, inliner

MAX_NODES = 1 << 17  # of a model whose functions are inlined


def inlined(model: ModelProto) -> ModelProto:
    """The model without functions, by ONNX's own inliner; itself where it has none.

    Raises ``ValueError`` for functions that call themselves, and where they would make more than 2^17 nodes.
    """
    if not model.functions:
        return model
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    if _size(model.graph, functions, sizes, ()) > MAX_NODES:
        raise ValueError(
            f"its functions must make at most 2^17 nodes in place of the {len(model.graph.node)} that call"
        )
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # ONNX's own classes, some of which are plain RuntimeErrors
        raise ValueError(f"its functions cannot be put in place: {str(error).splitlines()[0][:200]}") from None


def _size(
    body: GraphProto | FunctionProto,
    functions: dict[tuple[str, str], FunctionProto],
    sizes: dict[tuple[str, str], int],
    callers: tuple[tuple[str, str], ...],
) -> int:
    """Nodes of a body, those of the functions that it calls in their place."""
    count = 0
    for node in body.node:
        key = node.domain, node.op_type
        if key in callers or len(callers) > 64:
            raise ValueError(f"function {node.op_type!r} of {node.domain!r} must not call itself, nor lie 64 deep")
        if key in functions and key not in sizes:
            sizes[key] = _size(functions[key], functions, sizes, (*callers, key))
        count += sizes.get(key, 1)
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                count += _size(graph, functions, sizes, callers) if graph.node else 0
    return count
