"""GATHER, REVERSE_V2, DEPTH_TO_SPACE and SPACE_TO_DEPTH: codes in another order."""

from __future__ import annotations

import numpy as np

from ...reading.moves.rearrange import in_steps
from ..environment import Environment
from ..moves import gathered, reshaped
from ..operator import Operator
from .move import check_same_scale

MAX_INDICES = 1 << 20


def lower_gather(env: Environment, op: Operator) -> None:
    """Constant indices along one axis; indices of another rank than 1 make axes of their own."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    check_same_scale(env, op, x)
    if op.integer("GatherOptions", "BatchDims"):
        raise ValueError("option BatchDims must be 0")
    axis = env.axis(found, op.integer("GatherOptions", "Axis"))
    indices = env.constant(op, 1)
    if indices.dtype.kind not in "iu" or not 1 <= indices.size <= MAX_INDICES:
        raise ValueError(f"indices must be 1 to {MAX_INDICES} integers, not {indices.dtype} of shape {indices.shape}")
    if indices.min() < 0 or indices.max() >= x.shape[axis]:
        raise ValueError(f"indices must be from 0 to {x.shape[axis] - 1}, not {indices.min()} to {indices.max()}")
    env.take("pieces that tensors are taken to", indices.size)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]) or (1,)
    direct = indices.ndim == 1
    made = gathered(env.builder, x, axis, indices.reshape(-1).tolist(), env.label(op, "" if direct else "vector"))
    env.put(op, made if direct else reshaped(env.builder, made, shape, env.label(op)))


def lower_reverse(env: Environment, op: Operator) -> None:
    """One axis backwards."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    check_same_scale(env, op, x)
    axes = env.integers(op, 1, most=1)
    axis = env.axis(found, axes[0] if axes else -1)
    places = np.arange(x.shape[axis])[::-1]
    if places.size > MAX_INDICES:
        raise ValueError(f"an axis to reverse must have at most {MAX_INDICES} indices, not {places.size}")
    env.take("pieces that tensors are taken to", places.size)
    env.put(op, gathered(env.builder, x, axis, places.tolist(), env.label(op)))


def lower_depth_to_space(env: Environment, op: Operator) -> None:
    """Channels (row, column, c) of a pixel become a block of pixels."""
    x, block = env.map_operand(op, 0), _block(env, op, "DepthToSpaceOptions")
    height, width, depth = x.shape
    if depth % (block * block):
        raise ValueError(f"channels must be a multiple of {block * block}, not {depth}")
    inner = depth // (block * block)
    steps = [
        ("shape", (height, width, block, block, inner)),
        ("axes", (0, 1, 3, 2, 4, 5)),
        ("shape", (height * block, width * block, inner)),
    ]
    env.put(op, in_steps(env.builder, x, steps, env.label(op)))


def lower_space_to_depth(env: Environment, op: Operator) -> None:
    """A block of pixels becomes the channels (row, column, c) of one."""
    x, block = env.map_operand(op, 0), _block(env, op, "SpaceToDepthOptions")
    height, width, depth = x.shape
    if height % block or width % block:
        raise ValueError(f"height and width must be multiples of {block}, not {height} and {width}")
    steps = [
        ("shape", (height // block, block, width // block, block, depth)),
        ("axes", (0, 1, 3, 2, 4, 5)),
        ("shape", (height // block, width // block, block * block * depth)),
    ]
    env.put(op, in_steps(env.builder, x, steps, env.label(op)))


def _block(env: Environment, op: Operator, table: str) -> int:
    check_same_scale(env, op, env.operand(op, 0))
    block = op.integer(table, "BlockSize")
    if not 1 <= block <= 1 << 10:
        raise ValueError(f"option BlockSize must be from 1 to {1 << 10}, not {block}")
    return block
