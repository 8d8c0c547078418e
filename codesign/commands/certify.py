"""``lockstep certify``: how far the sums of a model can go, and which accumulator never overflows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emulator import (
    Graph,
    LayerCertificate,
    Linear,
    MatrixProduct,
    attaining_input,
    certify,
    convolve,
    linear,
    matrix_product,
)
from emulator.graph.certificate import NARROWEST, weighted_layers
from emulator.graph.product_sums import ProductSums

from ..console import Output, Phases
from ..execution import ModelChoice
from ..table import Table

WIDEST = 48  # bits, of an accumulator


def run(chosen: ModelChoice, json_file: str | None) -> bool:
    """Certify every layer of a model that accumulates; returns whether its accumulator can never overflow."""
    output = Output(json_file)
    graph, _ = chosen.load()
    table = Table(
        f"{chosen.model.name}: the worst case over all legal inputs",
        ("layer", "channels", "smallest sum", "largest sum", "bits needed", "bits", "safe", "attained"),
    )
    layers = []
    with Phases() as phases, phases.phase("worst cases") as on_step:
        certificates = certify(graph)
        for done, (name, certificate) in enumerate(certificates.items()):
            attained = attains(graph, certificate)
            layers.append(certificate.as_dict() | {"attained": attained})
            table.add(
                name, len(certificate.low), int(certificate.low.min()), int(certificate.high.max()),
                certificate.smallest_bits, certificate.accumulator_bits, certificate.safe, attained,
            )  # fmt: skip
            on_step(done + 1, len(certificates))
    safe = all(certificate.safe for certificate in certificates.values())
    smallest = max((certificate.smallest_bits for certificate in certificates.values()), default=NARROWEST)
    bits = graph.arithmetic.accumulator_bits
    verdict = "no input overflows" if safe else "some inputs may overflow"
    output.show(table, f"{verdict} the accumulator of {bits} bits; the smallest that never overflows has {smallest}")
    result = {"accumulator_bits": bits, "smallest_bits": smallest, "safe": safe, "layers": layers}
    output.finish({"model": str(chosen.model)} | result)
    return safe


def attains(graph: Graph, certificate: LayerCertificate) -> bool:
    """Whether the emulator's sums of the layer's widest channel reach both certified extremes, each with its input."""
    product = graph.tensor(certificate.name)
    if isinstance(product, MatrixProduct):
        return _product_attains(graph, product, certificate)
    node, channel = weighted_layers(graph)[certificate.name], int(certificate.channel_bits.argmax())
    zero = graph.tensor(node.inputs[0]).zero_point
    wide = replace(graph.arithmetic, accumulator_bits=WIDEST, multiplier_bits=1)
    for largest, extreme in ((True, certificate.high[channel]), (False, certificate.low[channel])):
        found = attaining_input(graph, node.name, channel, largest)
        weight = node.weight.copy()
        zeros = np.zeros(len(node.bias), np.int64) if node.weight_zero_point is None else node.weight_zero_point
        if isinstance(node, Linear):
            weight[found.steps :] = zeros  # what follows is not part of the sum at its extreme
            sums, _ = linear(found.codes.reshape(1, -1), weight, node.bias, wide, zero, zeros)
        else:
            weight.reshape(len(weight), -1)[:, found.steps :] = zeros[:, None]
            maps = found.codes.reshape(1, -1, *found.codes.shape[-2:])  # a sequence is a map of height 1
            sums, _ = convolve(
                maps, weight, node.bias, wide, zero, node.strides, node.padding, node.dilations, node.groups, zeros
            )
        if sums[(0, *found.position, channel)] != extreme:
            return False
    return True


def _product_attains(graph: Graph, node: MatrixProduct, certificate: LayerCertificate) -> bool:
    """`attains` of a product of two activations, each of which holds one code everywhere; 0 needs no step."""
    zeros = [graph.tensor(name).zero_point for name in node.inputs]
    wide = replace(graph.arithmetic, accumulator_bits=WIDEST, multiplier_bits=1)
    sums = ProductSums(graph, node)
    for certified, (extreme, a_code, b_code) in ((certificate.low, sums.low), (certificate.high, sums.high)):
        a, b = np.full((1, 1, node.depth), a_code, np.int8), np.full((1, node.depth, 1), b_code, np.int8)
        attained = int(matrix_product(a, b, wide, *zeros)[0].item()) if extreme else 0
        if (certified != attained).any():
            return False
    return True
