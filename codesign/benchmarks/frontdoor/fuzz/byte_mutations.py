"""One change of a file's bytes, whatever its format: bits, bytes, pieces."""

from __future__ import annotations

import random


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """`data` with flipped bits, a changed byte, or a piece cut, doubled, or copied over another."""
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
