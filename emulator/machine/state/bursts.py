"""Registers of the walks over an instruction's bursts and over its words and rows."""

from __future__ import annotations

from .records import record

_PIXEL = ("address", "row", "line_address", "pixels_left", "lines_left")
BURSTS = record(
    *_PIXEL,
    "walking",  # pixels follow
    "fill",  # cycles until the first pixel can be checked
    "more",  # the pixel has further bursts
    "burst",  # address of the burst asked for
    "beats",  # its length
    "rest",  # words that follow it in the pixel
)
OVERLAPS = record(
    *_PIXEL,
    "place",  # scratchpad row of the overlap
    "lane",  # its first byte there
    "word",  # address of its memory word
    "word_left",  # bytes of the word from the overlap's first on
    "row_left",  # bytes of the row from the overlap's first on
    "rest",  # bytes of the pixel after the row
)
