"""BATCH_MATMUL: the product of two activations, or of one and a constant, head by head."""

from __future__ import annotations

from ...reading.products.matrix_product import check_operands, matrix_product
from ..environment import Environment
from ..moves import reshaped
from ..operator import Operator

OPTIONS = "BatchMatMulOptions"


def lower_batch_matmul(env: Environment, op: Operator) -> None:
    """(…, M, K) or with AdjX (…, K, M), times (…, K, N) or with AdjY (…, N, K); leading axes of size 1 broadcast."""
    operands = [env.operand(op, index) for index in range(2)]
    turns = [bool(op.option(OPTIONS, name)) for name in ("AdjX", "AdjY")]
    if any(len(x.shape) < 2 for x in operands):
        raise ValueError(f"the inputs must be matrices in each sample, not {operands[0].shape} and {operands[1].shape}")
    rank = max(len(x.shape) for x in operands)
    a, b = (
        reshaped(env.builder, x, (1,) * (rank - len(x.shape)) + x.shape, env.label(op, f"operand{index}"))
        for index, x in enumerate(operands)
    )
    for own, other in zip(a.shape[:-2], b.shape[:-2], strict=True):
        if own != other and 1 not in (own, other):
            raise ValueError(f"the inputs must have shapes that broadcast, not {a.shape} and {b.shape}")
    shapes = [
        (*x.shape[:-2], x.shape[-1], x.shape[-2]) if turn else x.shape for x, turn in zip((a, b), turns, strict=True)
    ]
    check_operands(shapes[0], b, shapes[1], env.builder.arithmetic)
    pairs = (a, turns[0]), (b, turns[1])
    env.put(op, matrix_product(env.builder, env.label(op), *pairs, env.target(op)))
