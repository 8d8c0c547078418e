"""Block RAMs and multipliers, against what Yosys 0.70 makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codesign.synthesis.area_model import shipped
from codesign.synthesis.block_resources import Memory, block_rams, memories, memory_cells, multipliers
from emulator import AcceleratorConfig, Arithmetic

SYNTHESIZED = [
    (8, 128, 0, 16),
    (8, 192, 1, 0),
    (9, 128, 1, 0),
    (25, 48, 0, 21),
    (33, 48, 1, 0),
    (36, 512, 1, 0),
    (40, 64, 0, 40),
    (24, 3000, 5, 0),
    (49, 1500, 5, 0),
    (13, 12000, 12, 0),
    (37, 5000, 13, 0),
    (128, 2048, 15, 0),
    (64, 2048, 8, 0),
    (33, 16384, 32, 0),
]
"""(bits, words, DP16KD, TRELLIS_DPR16X4) of memories alone, by ``memory_libmap``."""


@pytest.mark.parametrize(("width", "depth", "blocks", "small"), SYNTHESIZED)
def test_a_memory_goes_where_it_is_cheapest(width: int, depth: int, blocks: int, small: int) -> None:
    assert memory_cells(Memory(1, width, depth))[:2] == (blocks, small)


def test_cells_whose_bits_nobody_reads_are_left_out() -> None:
    # Of 64 bits in blocks of 9, the last block has bit 63 alone: the upper half of the last byte.
    assert memory_cells(Memory(1, 64, 2048, used=8))[0] == 8
    assert memory_cells(Memory(1, 64, 2048, used=4))[0] == 7


def test_every_synthesized_config_has_as_many_as_are_counted() -> None:
    measured = shipped()
    assert measured
    assert [(block_rams(one.config), multipliers(one.config)) for one in measured] == [
        (one.block_rams, one.dsps) for one in measured
    ]


@pytest.mark.parametrize(("taps", "blocks", "small", "products"), [(1, 1, 8, 1), (3, 2, 0, 3), (9, 4, 0, 9)])
def test_a_depthwise_chain(taps: int, blocks: int, small: int, products: int) -> None:
    """What Yosys makes of one lane's chain alone, with sums of 24 bits."""
    config = AcceleratorConfig(columns=1, depthwise_taps=taps, arithmetic=Arithmetic(accumulator_bits=24))
    mine = [memory_cells(memories(config)[name]) for name in ("depthwise weights", "waiting sums")]
    assert (sum(cells[0] for cells in mine), sum(cells[1] for cells in mine)) == (blocks, small)
    assert multipliers(config) - multipliers(replace(config, depthwise_taps=0)) == products
    assert memories(config)["operand"].instances == max(1, taps // 3)
