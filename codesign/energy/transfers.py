"""Bus words and scratchpad rows of a LOAD or STORE, in closed form.

A transfer's pixels begin at address + line · line_stride + pixel · pixel_stride. Only their place in a bus word counts,
and that comes back after at most bus_bytes lines and pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from math import gcd


def _residues(count: int, stride: int, modulus: int) -> list[tuple[int, int]]:
    """(n · stride mod modulus, how many of n = 0 … count − 1 have it), each once."""
    period = modulus // gcd(stride, modulus)
    return [(n * stride % modulus, (count - n - 1) // period + 1) for n in range(min(count, period))]


@lru_cache(maxsize=1 << 12)
def _offsets(
    address: int, lines: int, line_stride: int, pixels: int, pixel_stride: int, bus_bytes: int
) -> tuple[tuple[int, int], ...]:
    """(byte of its bus word at which a pixel begins, how many pixels begin there)."""
    found = Counter[int]()
    in_line = _residues(pixels, pixel_stride, bus_bytes)
    for line, times in _residues(lines, line_stride, bus_bytes):
        for pixel, more_times in in_line:
            found[(address + line + pixel) % bus_bytes] += times * more_times
    return tuple(found.items())


def _pixel_offsets(fields: Mapping[str, int], bus_bytes: int) -> tuple[tuple[int, int], ...]:
    line_stride, pixel_stride = fields["line_stride"] % bus_bytes, fields["pixel_stride"] % bus_bytes
    address = fields["memory_address"] % bus_bytes
    return _offsets(address, fields["lines"], line_stride, fields["pixels"], pixel_stride, bus_bytes)


def words(fields: Mapping[str, int], bus_bytes: int) -> int:
    """Words that a transfer moves over the bus; pixels share none."""
    last = fields["pixel_bytes"] - 1
    return sum(pixels * ((offset + last) // bus_bytes + 1) for offset, pixels in _pixel_offsets(fields, bus_bytes))


def rows(fields: Mapping[str, int], lanes: int) -> int:
    """Rows that a transfer's pixels lie in, of `lanes` bytes; pixels share none."""
    return fields["lines"] * fields["pixels"] * -(-fields["pixel_bytes"] // lanes)


def overlaps(fields: Mapping[str, int], bus_bytes: int, lanes: int) -> int:
    """Parts into which words and rows cut a transfer's pixels: for each of them STORE reads a row."""
    size = fields["pixel_bytes"]
    return sum(pixels * _parts(offset, size, bus_bytes, lanes) for offset, pixels in _pixel_offsets(fields, bus_bytes))


def _parts(offset: int, size: int, bus_bytes: int, lanes: int) -> int:
    """Parts of one pixel that begins at a word's byte `offset`: one, and one more for each later start of a word or a
    row in it."""
    row_starts, word_starts = (size - 1) // lanes, (offset + size - 1) // bus_bytes
    # Row j starts with a word where offset + j · lanes is a multiple of bus_bytes: once in a period, or never.
    period = bus_bytes // gcd(lanes, bus_bytes)
    both = 0
    for j in range(1, min(row_starts, period) + 1):
        if (offset + j * lanes) % bus_bytes == 0:
            both = (row_starts - j) // period + 1
            break
    return 1 + row_starts + word_starts - both


def pitched_rows(fields: Mapping[str, int], lanes: int, used: int, pitch: int) -> int:
    """Rows of a LOAD that are among the first `used` of each `pitch` rows of its memory; the others are dropped."""
    each = -(-fields["pixel_bytes"] // lanes)
    whole, rest = divmod(each, pitch)
    kept = 0
    for start, pixels in _residues(fields["lines"] * fields["pixels"], fields["pixel_rows"], pitch):
        first = fields["row"] + start
        kept += pixels * (whole * used + sum((first + k) % pitch < used for k in range(rest)))
    return kept
