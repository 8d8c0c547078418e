"""The order of reading an ONNX graph: what its outputs need, each node behind those that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .operator import Operator


def needed_in_order(operators: Sequence[Operator], given: Iterable[str], wanted: Iterable[str]) -> list[Operator]:
    """The operators that the tensors `wanted` depend on, each after all those it reads.

    given : names that exist from the start (graph inputs, initializers)

    Raises ``ValueError`` for a name that nothing makes or two nodes make, and for a cycle.
    """
    known = set(given)
    maker: dict[str, int] = {}
    for index, op in enumerate(operators):
        for name in op.outputs:
            if name and (name in maker or name in known):
                raise ValueError(f"{op}: its output {name!r} is made twice")
            maker[name] = index
    maker.pop("", None)
    order: list[Operator] = []
    done: set[int] = set()
    open_: set[int] = set()
    for name in wanted:
        if name not in maker and name not in known:
            raise ValueError(f"output {name!r} is made by no node, input or initializer")
        # Depth first with an explicit stack: a file may hold a chain deeper than Python's recursion limit.
        stack = [maker[name]] if name in maker else []
        while stack:
            index = stack[-1]
            if index in done:
                stack.pop()
                continue
            open_.add(index)
            waiting = []
            for read in operators[index].reads:
                if read in maker and maker[read] not in done:
                    waiting.append(maker[read])
                elif read and read not in maker and read not in known:
                    raise ValueError(f"{operators[index]}: reads {read!r}, which no node, input or initializer makes")
            if not waiting:
                stack.pop()
                open_.discard(index)
                done.add(index)
                order.append(operators[index])
            for other in waiting:
                if other in open_:
                    raise ValueError(f"{operators[other]}: depends on its own output, so the graph has a cycle")
            stack.extend(waiting)
    return order
