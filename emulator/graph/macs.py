"""Multiplications of a layer, as the field counts them: from the shapes alone."""

from __future__ import annotations

import math

from .nodes import Convolution, Linear, MatrixProduct, Node


def node_macs(node: Node) -> int:
    """Multiplications of one sample, those with padding included; 0 for a layer without sums of products."""
    if isinstance(node, Convolution):
        return int(node.weight.size) * math.prod(node.shape[:-1])
    if isinstance(node, MatrixProduct):
        return math.prod(node.shape) * node.depth
    return int(node.weight.size) if isinstance(node, Linear) else 0
