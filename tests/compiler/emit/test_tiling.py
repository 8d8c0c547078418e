"""Tiling: every output position once, every weight tile once and in order, inputs as a plain loop finds them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.emit.cut.tiling import Axis, Span, segments, spans, tiles


@given(st.integers(1, 20), st.integers(1, 90), st.integers(1, 40), st.integers(1, 30), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_every_position_once(height: int, width: int, most: int, end: int, unit: int) -> None:
    cut = tiles(Span(3, 3 + height), Span(5, 5 + width), lambda tile: tile.positions <= most, end, unit)
    assert cut is not None
    seen = []
    for tile in cut:
        assert 1 <= tile.positions <= most
        seen += [(y, x) for y in range(*_ends(tile.rows)) for x in range(*_ends(tile.columns))]
    assert sorted(seen) == [(y, x) for y in range(3, 3 + height) for x in range(5, 5 + width)]


def test_tiles_are_even_or_small_at_the_ends_or_multiples() -> None:
    def lengths(end: int, unit: int = 1) -> list[int]:
        cut = tiles(Span(0, 1), Span(0, 1000), lambda tile: tile.positions <= 300, end, unit)
        assert cut is not None
        return [tile.positions for tile in cut]

    assert lengths(1 << 30) == [250] * 4
    assert lengths(20) == [20, 60, 280, 280, 280, 60, 20]
    assert lengths(60) == [60, 293, 293, 294, 60]
    assert lengths(1 << 30, 16) == [256, 256, 256, 232]


def test_nothing_fits() -> None:
    assert tiles(Span(0, 2), Span(0, 2), lambda tile: False) is None


@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 8))
)
@settings(max_examples=200, deadline=None)
def test_segments_walk_k_in_the_contracts_order(
    height: int, width: int, channel_rows: int, capacity: int, at_once: int | None
) -> None:
    order = []
    for piece in segments((height, width), channel_rows, capacity, at_once):
        assert piece.first_tile == len(order)
        assert 1 <= piece.tiles <= capacity
        if at_once is not None:
            assert piece.tiles <= at_once
        order += [
            (y, x, c)
            for y in range(*_ends(piece.kernel_rows))
            for x in range(*_ends(piece.kernel_columns))
            for c in range(*_ends(piece.channels))
        ]
    assert order == [(y, x, c) for y in range(height) for x in range(width) for c in range(channel_rows)]


@given(
    st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 6),
    st.integers(1, 4), st.data(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_inputs_and_padding_of_an_axis(
    size: int, kernel: int, stride: int, dilation: int, padding: int, first: int, count: int, data: st.DataObject
) -> None:
    axis = Axis(size, kernel, stride, dilation, padding)
    begin = data.draw(st.integers(0, kernel - 1))
    outputs, piece = Span(first, first + count), Span(begin, data.draw(st.integers(begin + 1, kernel)))
    inputs = axis.inputs(outputs, piece)
    pad = axis.pad(outputs, piece, inputs)
    assert 0 <= inputs.first < inputs.last <= size
    for o in range(count):
        for k in range(len(piece)):
            real = (first + o) * stride + (begin + k) * dilation - padding
            local = o * stride + k * dilation - pad
            assert local == real - inputs.first
            # What exists in the map is in the tile, what the tile calls padding is padding.
            assert (0 <= real < size) == (0 <= local < len(inputs))


@pytest.mark.parametrize(("total", "step"), [(1, 1), (7, 3), (6, 3), (5, 9)])
def test_spans(total: int, step: int) -> None:
    pieces = list(spans(total, step, 2))
    assert [i for piece in pieces for i in range(*_ends(piece))] == list(range(2, 2 + total))
    assert max(map(len, pieces)) <= step


def _ends(span: Span) -> tuple[int, int]:
    return span.first, span.last
