"""One change of a file's bytes: bits, words, pieces; for flatbuffers, words are offsets, sizes and scalars."""

from __future__ import annotations

import random

WORDS = (0, 1, 2, 3, 4, 8, 16, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """`data` with flipped bits, a changed word, or a piece cut, doubled, or copied over another."""
    if not data:
        return bytes(draw.randrange(256) for _ in range(draw.randint(1, 8)))
    changed = bytearray(data)
    way = draw.randrange(6)
    if way == 0:
        for _ in range(draw.randint(1, 8)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    elif way == 1:
        return bytes(changed[: draw.randrange(len(changed))])
    elif way == 2:
        start, size = draw.randrange(len(changed)), draw.randint(1, 64)
        del changed[start : start + size]
    elif way == 3:
        start, size = draw.randrange(len(changed)), draw.randint(1, 64)
        changed[start:start] = changed[start : start + size]
    elif way == 4:
        source, target, size = draw.randrange(len(changed)), draw.randrange(len(changed)), draw.randint(1, 64)
        piece = changed[source : source + size]
        changed[target : target + len(piece)] = piece
    else:
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def mutated_tflite(data: bytes, draw: random.Random) -> bytes:
    """`data`, a valid file, with one to three changes, most of them of whole words."""
    changed = data
    for _ in range(draw.randint(1, 3)):
        changed = mutated_bytes(changed, draw) if draw.random() < 0.3 else _word(changed, draw)
    return changed


def _word(data: bytes, draw: random.Random) -> bytes:
    """A word of 1, 2, 4 or 8 bytes at a multiple of its size; small files' words are mostly offsets and sizes."""
    size = draw.choice((1, 2, 4, 4, 4, 8))
    if len(data) < 2 * size:
        return data
    place = draw.randrange(len(data) // size) * size
    old = int.from_bytes(data[place : place + size], "little")
    way = draw.randrange(4)
    if way == 0:
        new = draw.choice(WORDS)
    elif way == 1:
        new = old + draw.choice((-16, -8, -4, -1, 1, 4, 8, 16))
    elif way == 2:
        other = draw.randrange(len(data) // size) * size
        new = int.from_bytes(data[other : other + size], "little")
    else:
        new = draw.randrange(-len(data), len(data))
    return data[:place] + (new % (1 << 8 * size)).to_bytes(size, "little") + data[place + size :]
